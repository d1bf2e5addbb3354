"""The `nadia` command: parsing and printing only. One file per command group, imported when it is used."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; those of the process when absent.

    Returns
    -------
    int
        The exit code; docs/reference/exit-codes.md says what each means.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments == ["--version"]:  # scripts ask often, and importing the frame takes four times as long
        import nadia

        print(f"nadia {nadia.__version__}")
        return 0
    from nadia.cli.frame import run

    return run(arguments)
