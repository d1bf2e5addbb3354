"""What each setting is called, and the other names it answers to."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

PREFIX: Final = "NADIA_"

PLAIN: Final[Mapping[str, str]] = {
    "DATABASE_URL": "postgres.url",
    "REDIS_URL": "redis.url",
    "LOG_LEVEL": "logs.level",
    "LOG_FORMAT": "logs.format",
    "API_ID": "telegram.api_id",
    "API_HASH": "telegram.api_hash",
}
"""Names that everybody expects, and the setting that each stands for. They are as good as the ``NADIA_`` names."""

LEGACY: Final[Mapping[str, str]] = {
    "TYPING_WINDOW_DELAY": "pacing.window_seconds",
    "TYPING_DEBOUNCE_DELAY": "pacing.longest_seconds",
    "MAX_BATCH_SIZE": "pacing.largest_batch",
    "LLM_PROFILE": "llm.profile",
    "LLM1_MODEL": "llm.model",
    "OPENAI_MODEL": "llm.model",
}
"""Names of the baseline's project, accepted with a deprecation warning; of several for one setting the first counts."""

RETIRED: Final[Mapping[str, str]] = {
    "LLM2_MODEL": "a draft is written by one model: put further ones into the profile's chain (docs/guides/models.md)",
}
"""Names of the baseline's project that no setting stands for any more, and what to do instead; they are ignored."""

SWITCHES: Final[Mapping[str, str]] = {
    "NADIA_DEBUG": "1 prints the traceback of an unexpected error, as `nadia --debug` does.",
    "NADIA_CI": "1 makes the tests fail, rather than skip, where a tool is missing.",
}
"""Variables of the prefix that are about one process and not about the installation."""

_SEQUENCES = (tuple, list, set, frozenset)


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: where it stands in `Config` and what it is called outside.

    Attributes
    ----------
    section : str
        Its section; empty for a field of `Config` itself.
    field : str
        Its name there.
    plain, legacy : tuple of str
        Other names for it.
    info : FieldInfo
        What pydantic knows: type, limits, default, description.
    """

    section: str
    field: str
    plain: tuple[str, ...]
    legacy: tuple[str, ...]
    info: FieldInfo

    @property
    def path(self) -> str:
        """Dotted place in `Config`, such as ``pacing.window_seconds``."""
        return f"{self.section}.{self.field}" if self.section else self.field

    @property
    def name(self) -> str:
        """The environment variable, ``NADIA_<SECTION>_<FIELD>``."""
        return PREFIX + self.path.replace(".", "_").upper()

    @property
    def usual_name(self) -> str:
        """What people and documents call it: the plain name where there is one."""
        return self.plain[0] if self.plain else self.name

    @property
    def is_secret(self) -> bool:
        """Whether the value may be shown nowhere and may come from a file."""
        return SecretStr in self.types

    @property
    def types(self) -> tuple[object, ...]:
        """The types that a value may have, None apart."""
        annotation = self.info.annotation
        members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
        return tuple(member for member in members if member is not NoneType)

    @property
    def description(self) -> str:
        """What it is for, with the unit."""
        return self.info.description or ""

    @property
    def default(self) -> object:
        """The value when nobody says otherwise."""
        return self.info.get_default(call_default_factory=False)

    @property
    def default_text(self) -> str:
        """The default as one would write it; empty when there is none."""
        extra = self.info.json_schema_extra
        if isinstance(extra, dict) and "default_text" in extra:
            return str(extra["default_text"])
        return "" if self.info.is_required() or self.info.default_factory else text_of(self.default)

    def read(self, text: str) -> object:
        """Turn the text of a variable into what pydantic validates: lists from commas or JSON, `~` in paths.

        Raises
        ------
        ValueError
            If the text begins as JSON and is none.
        """
        if any(get_origin(kind) in _SEQUENCES or kind in _SEQUENCES for kind in self.types):
            if text.startswith("["):
                parsed: object = json.loads(text)
                return parsed
            return [item.strip() for item in text.split(",") if item.strip()]
        if Path in self.types:
            return Path(text).expanduser()
        return text


def catalogue(model: type[BaseModel]) -> tuple[Setting, ...]:
    """Return every setting of a configuration model, in its order.

    Parameters
    ----------
    model : type of BaseModel
        Fields that are models themselves are sections.
    """
    return tuple(_settings(model))


def text_of(value: object) -> str:
    """Return a value as one would write it in `.env`; nothing for none."""
    if value is None:
        return ""
    if isinstance(value, Enum):
        return text_of(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, _SEQUENCES):
        return ",".join(text_of(item) for item in value)
    return str(value)


def accepts(setting: Setting) -> str:
    """Say in words what a setting accepts, such as ``a whole number from 1 to 65535``."""
    return " or ".join(_kind(kind) for kind in setting.types) + _limits(setting.info)


def _settings(model: type[BaseModel]) -> Iterator[Setting]:
    for name, info in model.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            for field, field_info in section.model_fields.items():
                yield _setting(name, field, field_info)
        else:
            yield _setting("", name, info)


def _setting(section: str, field: str, info: FieldInfo) -> Setting:
    path = f"{section}.{field}" if section else field
    plain = tuple(name for name, target in PLAIN.items() if target == path)
    legacy = tuple(name for name, target in LEGACY.items() if target == path)
    return Setting(section=section, field=field, plain=plain, legacy=legacy, info=info)


def _kind(kind: object) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(text_of(choice) for choice in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "one of " + ", ".join(text_of(choice) for choice in kind)
    if get_origin(kind) in _SEQUENCES or kind in _SEQUENCES:
        return "a list, separated by commas"
    words = {bool: "true or false", int: "a whole number", float: "a number", SecretStr: "a secret", Path: "a path"}
    return words.get(kind, "a text") if isinstance(kind, type) else "a text"


def _limits(info: FieldInfo) -> str:
    found = {
        key: getattr(item, key) for item in info.metadata for key in ("ge", "gt", "le", "lt") if hasattr(item, key)
    }
    lower = f"from {found['ge']}" if "ge" in found else f"above {found['gt']}" if "gt" in found else ""
    upper = f"to {found['le']}" if "le" in found else f"below {found['lt']}" if "lt" in found else ""
    return (f" {lower}" if lower else "") + (f" {upper}" if upper else "")
