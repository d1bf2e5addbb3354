"""The model registry: which models there are, what they cost, and in which order a profile asks them."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from nadia.errors import ConfigurationError
from nadia.llm.yaml_lines import Document, read_document

_STRICT = ConfigDict(frozen=True, extra="forbid")
_GUIDE = "docs/guides/models.md describes every field"
_KEY = re.compile(r"[\x21-\x7e]+")  # what an HTTP header carries without quoting


class OpenAIModel(BaseModel):
    """A model behind an endpoint that speaks OpenAI's chat completions."""

    model_config = _STRICT

    provider: Literal["openai"]
    model: str = Field(min_length=1, max_length=200)
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    private_network: bool = False
    input_price_per_million: Decimal = Field(ge=0)
    output_price_per_million: Decimal = Field(ge=0)
    context_tokens: int = Field(128_000, ge=512)
    output_tokens: int = Field(4_096, ge=1)
    timeout_seconds: float = Field(30.0, gt=0, le=600)
    output_limit_parameter: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    accepts_temperature: bool = True

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("write it as https://host/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("it carries no credentials, query or fragment; the key belongs in api_key_env")
        return value


class OfflineModel(BaseModel):
    """The nearest of the desk's saved replies."""

    model_config = _STRICT

    provider: Literal["offline"]
    minimum_score: float = Field(0.2, ge=0, le=1)


AnyModel = Annotated[OpenAIModel | OfflineModel, Field(discriminator="provider")]


class Profile(BaseModel):
    """How drafts are written: which models in which order, and with what limits."""

    model_config = _STRICT

    chain: tuple[str, ...] = Field(min_length=1)
    temperature: float = Field(0.6, ge=0, le=2)
    max_output_tokens: int = Field(500, ge=1)

    @field_validator("chain")
    @classmethod
    def _names_each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        repeated = {name for name in value if value.count(name) > 1}
        if repeated:
            raise ValueError(f"{', '.join(sorted(repeated))} stands there twice")
        return value


class RegistryFile(BaseModel):
    """The whole file."""

    model_config = _STRICT

    models: dict[str, AnyModel] = Field(min_length=1)
    profiles: dict[str, Profile] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Link:
    """One model of a profile's chain.

    Attributes
    ----------
    name : str
        Its name in the registry.
    model : OpenAIModel or OfflineModel
        Its entry.
    api_key : SecretStr or None
        Its key, where it wants one and has one.
    skipped : str or None
        Why it cannot be asked; None when it can.
    """

    name: str
    model: OpenAIModel | OfflineModel
    api_key: SecretStr | None = None
    skipped: str | None = None


class ModelRegistry:
    """The models and profiles of one installation.

    Parameters
    ----------
    file : RegistryFile
        What the registry file says.
    environment : mapping
        Where keys are looked up; what settings were read from, so that ``.env`` counts.
    """

    def __init__(self, *, file: RegistryFile, environment: Mapping[str, str]) -> None:
        self._file = file
        self._environment = environment

    @property
    def models(self) -> Mapping[str, OpenAIModel | OfflineModel]:
        """Every model by its name."""
        return self._file.models

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """Every profile by its name."""
        return self._file.profiles

    def validate_profile(self, name: str) -> bool:
        """Say whether there is such a profile with a model that can be asked (baseline 2.1)."""
        return name in self.profiles and any(link.skipped is None for link in self.chain(name))

    def profile(self, name: str) -> Profile:
        """Return a profile.

        Raises
        ------
        ConfigurationError
            If there is none of this name.
        """
        try:
            return self.profiles[name]
        except KeyError:
            raise ConfigurationError(
                f"there is no model profile {name!r}{_nearest(name, self.profiles)}",
                hint=f"NADIA_LLM_PROFILE is one of: {', '.join(self.profiles)}",
            ) from None

    def chain(self, name: str) -> list[Link]:
        """Return the models of a profile in the order in which they are asked, each with its key."""
        return [self._link(model) for model in self.profile(name).chain]

    def get_llm_config(self, name: str) -> dict[str, object]:
        """Return a profile as plain data, without keys, for pages and commands (baseline 2.1)."""
        profile = self.profile(name)
        return {
            "profile": name,
            "temperature": profile.temperature,
            "max_output_tokens": profile.max_output_tokens,
            "chain": [
                {
                    "name": link.name,
                    **link.model.model_dump(mode="json"),
                    "usable": link.skipped is None,
                    "reason": link.skipped,
                }
                for link in self.chain(name)
            ],
        }

    def with_model(self, model: str, *, profile: str) -> "ModelRegistry":
        """Return a registry in which the profile's first OpenAI-compatible entry uses another model name.

        Raises
        ------
        ConfigurationError
            If the profile has no such entry.
        """
        for link in self.chain(profile):
            if isinstance(link.model, OpenAIModel):
                changed = {**self.models, link.name: link.model.model_copy(update={"model": model})}
                file = self._file.model_copy(update={"models": changed})
                return ModelRegistry(file=file, environment=self._environment)
        raise ConfigurationError(
            f"NADIA_LLM_MODEL is set, but profile {profile!r} has no OpenAI-compatible model",
            hint="unset it, or choose another NADIA_LLM_PROFILE",
        )

    def _link(self, name: str) -> Link:
        model = self.models[name]
        if isinstance(model, OfflineModel) or model.api_key_env is None:
            return Link(name, model)
        key, problem = _read_key(model.api_key_env, self._environment)
        return Link(name, model, api_key=key, skipped=problem)


def load_registry(path: Path | None, *, environment: Mapping[str, str]) -> ModelRegistry:
    """Read a registry file.

    Parameters
    ----------
    path : Path or None
        The operator's file; the shipped one when None.
    environment : mapping
        Where keys are looked up.

    Raises
    ------
    ConfigurationError
        If the file cannot be read, or says something that cannot be; names file, line, field and remedy.
    """
    if path is None:
        shown, text = "models.yaml", resources.files("nadia.llm").joinpath("models.yaml").read_text(encoding="utf-8")
    else:
        shown, text = str(path), _read_text(path)
    document = read_document(text, shown=shown, hint=_GUIDE)
    try:
        file = RegistryFile.model_validate(document.data)
    except ValidationError as exc:
        raise ConfigurationError("\n".join(_problems(exc, document)), hint=_GUIDE) from None
    _refuse_unknown_models(file, document)
    return ModelRegistry(file=file, environment=environment)


def _refuse_unknown_models(file: RegistryFile, document: Document) -> None:
    for name, profile in file.profiles.items():
        for index, model in enumerate(profile.chain):
            if model not in file.models:
                line = document.line_of(("profiles", name, "chain", index))
                raise ConfigurationError(
                    f"{document.shown}:{line}: profiles.{name}.chain: there is no model {model!r}"
                    f"{_nearest(model, file.models)}",
                    hint="name models that stand under `models:`",
                )


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(
            f"the model registry {path} cannot be read: {reason}", hint="see NADIA_LLM_MODELS_FILE"
        ) from exc


def _read_key(name: str, environment: Mapping[str, str]) -> tuple[SecretStr | None, str | None]:
    """Return the key, or why there is none."""
    value, source = environment.get(name, "").strip(), name
    file = environment.get(f"{name}_FILE", "").strip()
    if not value and file:
        source = f"{name}_FILE"
        try:
            value = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            return None, f"{source} names {file}, which cannot be read ({type(exc).__name__})"
    if not value:
        return None, f"{source} is {'empty' if file else 'not set'}"
    if not _KEY.fullmatch(value):
        return None, f"{source} holds spaces or characters that no key has"
    return SecretStr(value), None


def _problems(exc: ValidationError, document: Document) -> Iterator[str]:
    # Unknown fields first: a misspelt one explains why another is missing.
    errors = sorted(exc.errors(include_input=False, include_url=False), key=lambda it: it["type"] != "extra_forbidden")
    for error in errors:
        path = document.existing_path(error["loc"])
        message = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            siblings = OpenAIModel.model_fields.keys() | OfflineModel.model_fields.keys() | Profile.model_fields.keys()
            message = f"unknown field{_nearest(str(error['loc'][-1]), siblings)}"
        elif error["type"] == "missing":
            path, message = (*path, str(error["loc"][-1])), "is missing"
        where = ".".join(str(step) for step in path)
        yield f"{document.shown}:{document.line_of(path)}: {where + ': ' if where else ''}{message}"


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
