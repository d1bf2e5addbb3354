"""The configuration of one process (baseline 2.1)."""

import os
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

from nadia.delivery.config import DeliverySettings
from nadia.drafting.config import DraftingSettings
from nadia.embedded.home import Home
from nadia.errors import ConfigurationError
from nadia.health.config import HealthSettings
from nadia.llm.config import LlmSettings
from nadia.logs import LogsSettings
from nadia.pacing.config import PacingSettings
from nadia.postgres.config import PostgresSettings
from nadia.quarantine.config import QuarantineSettings
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.health_config import RecoveryHealthSettings
from nadia.redaction import MASK, redact
from nadia.redis.config import RedisSettings
from nadia.review.config import ReviewSettings
from nadia.settings.binding import bind, validate_section
from nadia.settings.daemon import DaemonSettings
from nadia.settings.errors import Problem, SettingsError
from nadia.settings.mcp import McpSettings
from nadia.settings.names import Setting, catalogue
from nadia.settings.observation import MetricsSettings
from nadia.settings.server_urls import url_problems
from nadia.settings.sources import DEFAULT, Source, clean_env_value, read_dotenv, read_environment
from nadia.settings.web import WebSettings
from nadia.telegram.config import TelegramSettings
from nadia.tracing.config import TracingSettings

if TYPE_CHECKING:
    from nadia.llm.registry import ModelRegistry


class Config(BaseModel):
    """Every setting, by section. Frozen; each value knows where it came from."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    home: Path = Field(
        default_factory=lambda: Home.from_env().path,
        description="Folder of this installation: embedded servers' data, secrets, the sandbox.",
        json_schema_extra={"default_text": "~/.local/share/nadia"},
    )
    logs: LogsSettings = Field(default_factory=LogsSettings)
    postgres: PostgresSettings = Field(default_factory=PostgresSettings)
    redis: RedisSettings = Field(default_factory=RedisSettings)
    telegram: TelegramSettings = Field(default_factory=TelegramSettings)
    pacing: PacingSettings = Field(default_factory=PacingSettings)
    llm: LlmSettings = Field(default_factory=LlmSettings)
    drafting: DraftingSettings = Field(default_factory=DraftingSettings)
    review: ReviewSettings = Field(default_factory=ReviewSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    quarantine: QuarantineSettings = Field(default_factory=QuarantineSettings)
    recovery: RecoveryConfig = Field(default_factory=RecoveryConfig)
    recovery_health: RecoveryHealthSettings = Field(default_factory=RecoveryHealthSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    daemon: DaemonSettings = Field(default_factory=DaemonSettings)
    mcp: McpSettings = Field(default_factory=McpSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)

    _origins: Mapping[str, str] = PrivateAttr(default_factory=dict)
    _read: Source = PrivateAttr(default_factory=dict)
    _deprecations: tuple[str, ...] = PrivateAttr(default=())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")) -> Self:
        """Read the settings; the environment is stronger than `.env`.

        Parameters
        ----------
        environ : mapping of str to str, optional
            The process environment when not given.
        dotenv : Path, optional
            A file with lines ``NAME=value``; it need not exist.

        Raises
        ------
        SettingsError
            If anything is wrong; it lists all of it.

        Warns
        -----
        DeprecationWarning
            For each older name that was met.
        """
        environ = os.environ if environ is None else environ
        lines, problems = read_dotenv(dotenv)
        settings = cls.settings()
        environment = read_environment(environ)
        binding = bind(settings, (environment, lines))
        problems += [*binding.problems, *url_problems(binding.given)]
        sections: dict[str, Any] = {}
        for name, info in cls.model_fields.items():
            if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
                own = [setting for setting in settings if setting.section == name]
                section, refused = validate_section(info.annotation, own, binding.given)
                problems += refused
                sections[name] = section
        try:
            home = binding.given.get("home")
            sections["home"] = Home(path=Path(home.value)).path if home else Home.from_env(_without_home(environ)).path
        except RuntimeError:
            remedy = "set NADIA_HOME to a folder of NADIA's own"
            problems.append(Problem("NADIA_HOME", "this user has no home folder to put the data in", remedy))
        if problems:
            raise SettingsError(problems)
        config = cast("Self", cls.model_construct(None, **sections))  # each was validated above
        config._origins = MappingProxyType(
            {path: _where(given.origin, given.name) for path, given in binding.given.items()}
        )
        config._read = MappingProxyType({**lines, **environment})
        config._deprecations = tuple(binding.deprecations)
        for sentence in binding.deprecations:
            warnings.warn(sentence, DeprecationWarning, stacklevel=2)
        return config

    @classmethod
    @cache
    def settings(cls) -> tuple[Setting, ...]:
        """Return every setting there is."""
        return catalogue(cls)

    @property
    def deprecations(self) -> tuple[str, ...]:
        """One sentence for each older name that the settings were read from."""
        return self._deprecations

    def origin(self, setting: Setting) -> str:
        """Say where a value came from: ``default``, ``.env:12``, ``environment`` or a file."""
        return self._origins.get(setting.path, DEFAULT)

    def value(self, setting: Setting) -> object:
        """Return the value of a setting, secrets still wrapped."""
        section: object = getattr(self, setting.section) if setting.section else self
        return getattr(section, setting.field)

    def shown(self, setting: Setting) -> object:
        """Return the value of a setting as anyone may see it."""
        value = self.value(setting)
        return MASK if isinstance(value, SecretStr) else redact(value)

    @property
    def variables(self) -> Mapping[str, str]:
        """Every variable that the settings were read from, `.env` included: where the model registry finds its keys."""
        return MappingProxyType({name: given.value for name, given in self._read.items()})

    def model_registry(self) -> "ModelRegistry":
        """Read the model registry that the settings name.

        Raises
        ------
        ConfigurationError
            If the file is wrong.
        """
        from nadia.llm.registry import load_registry

        registry = load_registry(self.llm.models_file, environment=self.variables)
        if self.llm.model is None:
            return registry
        return registry.with_model(self.llm.model, profile=self.llm.profile)

    def get_llm_config(self, profile: str | None = None) -> dict[str, object]:
        """Return a profile of the model registry as plain data, without keys (baseline 2.1).

        Parameters
        ----------
        profile : str, optional
            The profile in use when absent.

        Raises
        ------
        ConfigurationError
            If there is no such profile, or the registry is wrong.
        """
        return self.model_registry().get_llm_config(profile or self.llm.profile)

    def validate_profile(self, name: str) -> bool:
        """Say whether there is such a profile with a model that can be asked (baseline 2.1).

        Raises
        ------
        ConfigurationError
            If the registry is wrong.
        """
        return self.model_registry().validate_profile(name)

    def require_startable(self) -> None:
        """Check what reading the settings alone does not: the files that they name, and rules about the whole.

        Raises
        ------
        ConfigurationError
            The first thing that would keep NADIA from starting.
        """
        registry = self.model_registry()
        registry.profile(self.llm.profile)
        if not registry.validate_profile(self.llm.profile):
            reasons = ", ".join(f"{link.name}: {link.skipped}" for link in registry.chain(self.llm.profile))
            raise ConfigurationError(
                f"no model of profile {self.llm.profile!r} can be asked ({reasons})",
                hint="set a key, or add `offline` to the profile's chain",
            )
        self.web.require_startable()

    @staticmethod
    def _clean_env_value(raw: str) -> str:
        return clean_env_value(raw)


def _where(origin: str, name: str) -> str:
    return f"{origin} ({name})" if origin.startswith("file ") else origin


def _without_home(environ: Mapping[str, str]) -> dict[str, str]:
    # An empty NADIA_HOME, or one that was quoted, is decided above.
    return {name: value for name, value in environ.items() if name != "NADIA_HOME"}
