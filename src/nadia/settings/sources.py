"""Where settings are read from: the process environment, `.env`, and files that hold one secret each."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nadia.settings.errors import Problem

ENVIRONMENT: Final = "environment"
DEFAULT: Final = "default"
_LONGEST_SECRET: Final = 65_536
"""Bytes; a larger file is surely not a secret but a mistake in the path."""

_ASSIGNMENT = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.]*)\s*=(?P<value>.*)", re.DOTALL)
_PASTED_EXPORT = re.compile(r"export\s+[A-Za-z_][A-Za-z0-9_]*=")
_QUOTED = re.compile(r"""(?:'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)")\s*(?:\#.*)?""", re.DOTALL)
_INLINE_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
_ESCAPE = re.compile(r'\\([\\"n])')


@dataclass(frozen=True, slots=True)
class Given:
    """A value that somebody wrote down.

    Attributes
    ----------
    name : str
        The variable.
    value : str
        Cleaned; may be a secret and is therefore not in ``repr``.
    origin : str
        Where it stands: ``environment``, ``.env:12``, or a file's path.
    """

    name: str
    value: str = field(repr=False)
    origin: str


Source = Mapping[str, Given]


def clean_env_value(raw: str) -> str:
    """Return what a person meant by the text right of ``=``.

    Docker's ``--env-file`` and systemd hand quotes and comments over as they stand, so values of the process
    environment are cleaned by the same rules as those of `.env`.

    Parameters
    ----------
    raw : str
        The text as it stands.

    Returns
    -------
    str
        Without surrounding white space, a pasted ``export NAME=``, one pair of quotes around the whole, and a comment
        that begins with ``#`` after white space. Inside double quotes ``\\"``, ``\\\\`` and ``\\n`` are escapes; a
        ``#`` inside quotes or inside a word stays.
    """
    text = _PASTED_EXPORT.sub("", raw.strip(), count=1).strip()
    if quoted := _QUOTED.fullmatch(text):
        if (single := quoted["single"]) is not None:
            return single
        return _ESCAPE.sub(lambda match: "\n" if match[1] == "n" else match[1], quoted["double"])
    return _INLINE_COMMENT.sub("", text).strip()


def read_environment(environ: Mapping[str, str]) -> Source:
    """Return the process environment's values, cleaned."""
    return {name: Given(name, clean_env_value(raw), ENVIRONMENT) for name, raw in environ.items()}


def read_dotenv(path: Path | None) -> tuple[Source, list[Problem]]:
    """Read a `.env` file; one that does not exist holds nothing.

    Returns
    -------
    values : mapping of str to Given
        A name that stands twice has its last value.
    problems : list of Problem
        Lines that assign nothing, or the file's being unreadable.
    """
    if path is None:
        return {}, []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        return {}, [Problem(str(path), f"cannot be read: {reason}", "make it a readable text file, or remove it")]
    values: dict[str, Given] = {}
    problems: list[Problem] = []
    for number, line in _meaningful_lines(text):
        place = f"{path.name}:{number}"
        if match := _ASSIGNMENT.fullmatch(line):
            values[match["name"]] = Given(match["name"], clean_env_value(match["value"]), place)
        else:
            problems.append(Problem(place, "the line assigns nothing", "write NAME=value, or # before a comment"))
    return values, problems


def read_secret_file(pointer: Given) -> Given | Problem:
    """Read the secret whose path an ``X_FILE`` variable gives.

    Parameters
    ----------
    pointer : Given
        The variable that holds the path.
    """
    path = Path(pointer.value)

    def problem(text: str, remedy: str) -> Problem:
        return Problem(pointer.name, text, remedy, pointer.origin)

    try:
        content = path.expanduser().read_bytes()[: _LONGEST_SECRET + 1]
        secret = content.decode("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        return problem(f"there is no file {path}", "create it, or correct the path")
    except (OSError, RuntimeError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not a UTF-8 text file"
        return problem(f"{path} cannot be read: {reason}", "let the user that runs NADIA read it")
    if len(content) > _LONGEST_SECRET:
        return problem(
            f"{path} is larger than {_LONGEST_SECRET // 1024} KiB", "name the file that holds the secret alone"
        )
    if not secret.strip():
        return problem(f"{path} is empty", f"write the secret into it, or remove {pointer.name}")
    return Given(pointer.name, secret, f"file {path}")


def _meaningful_lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            yield number, stripped
