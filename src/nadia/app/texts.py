"""The operator's files: copies of the shipped ones, laid into the home to be edited."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from nadia.drafting.texts import disclosure, persona
from nadia.llm.saved_replies import SavedReplies
from nadia.settings import Config

_SHIPPED: Final = {
    "persona.txt": "nadia.drafting",
    "disclosure.txt": "nadia.drafting",
    "saved_replies.txt": "nadia.llm",
}


@dataclass(frozen=True, slots=True)
class OperatorFiles:
    """What the operator may edit, as read by this process.

    Parameters
    ----------
    persona, disclosure : callable
        Return the text as it is now.
    saved_replies : SavedReplies
        The desk's.
    """

    persona: Callable[[], str]
    disclosure: Callable[[], str]
    saved_replies: SavedReplies

    @classmethod
    def of(cls, config: Config) -> "OperatorFiles":
        """Open the configured files, else the home's copies, else the shipped ones."""
        return cls(
            persona=persona(config.drafting.persona_file or _own(config, "persona.txt")),
            disclosure=disclosure(config.drafting.disclosure_file or _own(config, "disclosure.txt")),
            saved_replies=SavedReplies(path=config.llm.saved_replies_file or _own(config, "saved_replies.txt")),
        )


def folder(config: Config) -> Path:
    """Return where the home's copies are."""
    return config.home / "texts"


def lay_out(config: Config) -> None:
    """Copy the shipped files into the home, where there are none."""
    folder(config).mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, package in _SHIPPED.items():
        target = folder(config) / name
        if not target.exists():
            draft = target.with_name(f".{name}.{os.getpid()}")
            draft.write_bytes(resources.files(package).joinpath(name).read_bytes())
            draft.replace(target)


def _own(config: Config, name: str) -> Path | None:
    own = folder(config) / name
    return own if own.exists() else None
