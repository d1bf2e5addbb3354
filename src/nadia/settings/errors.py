"""What is wrong with the settings, all of it at once."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from nadia.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Problem:
    """One setting that cannot be used.

    Attributes
    ----------
    name : str
        The variable, or the place in ``.env``.
    problem : str
        What is wrong; never shows a secret's value.
    remedy : str
        What to do about it.
    origin : str
        Where the value came from; empty when the name says it.
    """

    name: str
    problem: str
    remedy: str
    origin: str = ""

    def __str__(self) -> str:
        place = f" ({self.origin})" if self.origin else ""
        return f"{self.name}{place}: {self.problem}; {self.remedy}"

    def as_dict(self) -> dict[str, str]:
        """Return the parts by name, for JSON."""
        return asdict(self)


class SettingsError(ConfigurationError):
    """The settings cannot be used.

    Parameters
    ----------
    problems : sequence of Problem
        Every one that was found, so that one round of corrections is enough.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "one setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        lines = [f"{count} wrong", *(f"  {problem}" for problem in problems)]
        super().__init__("\n".join(lines), hint="docs/reference/settings.md lists every setting and what it accepts")
        self.problems = tuple(problems)
