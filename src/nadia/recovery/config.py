"""How missed messages are looked for (baseline 2.6)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class RecoveryTier(IntEnum):
    """How urgent a chat is, by the age of its newest message (baseline 2.6)."""

    TIER_1 = 1
    """Younger than ``tier_1_hours``: the customer may still be waiting at the screen."""
    TIER_2 = 2
    """Younger than ``tier_2_hours``."""
    TIER_3 = 3
    """Everything else."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the chats of a tier are read.

    Parameters
    ----------
    batch_size : int
        Chats after which there is a pause.
    concurrency : int
        Chats read at once.
    delay_seconds : float
        Length of the pause.
    """

    batch_size: int
    concurrency: int
    delay_seconds: float


class RecoveryConfig(BaseModel):
    """Tiers, limits and habits of the recovery agent; all that is wrong with it is reported at once (baseline 2.6)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    enabled: bool = Field(True, description="Whether missed messages are looked for at all.")
    tier_1_hours: float = Field(
        2.0, gt=0, le=8_760, description="Chats whose newest message is younger than so many hours are read first."
    )
    tier_2_hours: float = Field(
        12.0, gt=0, le=8_760, description="Chats whose newest message is younger than so many hours are read next."
    )
    maximum_age_hours: float = Field(
        72.0,
        gt=0,
        le=8_760,
        description="Messages older than so many hours are listed for a person instead of answered. Of an account "
        "that NADIA never read before, nothing older is taken in.",
    )
    tier_1_batch_size: int = Field(50, ge=1, le=1_000, description="Chats of the first tier between two pauses.")
    tier_2_batch_size: int = Field(25, ge=1, le=1_000, description="Chats of the second tier between two pauses.")
    tier_3_batch_size: int = Field(10, ge=1, le=1_000, description="Chats of the third tier between two pauses.")
    tier_1_concurrency: int = Field(4, ge=1, le=16, description="Chats of the first tier that are read at once.")
    tier_2_concurrency: int = Field(2, ge=1, le=16, description="Chats of the second tier that are read at once.")
    tier_3_concurrency: int = Field(1, ge=1, le=16, description="Chats of the third tier that are read at once.")
    tier_1_delay_seconds: float = Field(
        0.0, ge=0, le=600, description="Pause after a batch of the first tier, seconds."
    )
    tier_2_delay_seconds: float = Field(
        0.5, ge=0, le=600, description="Pause after a batch of the second tier, seconds."
    )
    tier_3_delay_seconds: float = Field(
        1.0, ge=0, le=600, description="Pause after a batch of the third tier, seconds."
    )
    verify_hours: float = Field(
        12.0,
        gt=0,
        le=720,
        description="Hours after which an account is looked through again, even if nothing happened.",
    )
    reconcile_hours: float = Field(
        48.0,
        ge=0,
        le=720,
        description="Where updates were lost, messages of so many hours are compared with Telegram's for edits and "
        "deletions; those of open items always.",
    )
    most_failures: int = Field(
        5, ge=1, le=100, description="Failures in a row after which a run stops itself, to be tried again later."
    )
    most_attempts: int = Field(
        5, ge=1, le=100, description="Runs after which a chat that cannot be read is left to a person."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _report_everything(cls, data: object, handler: ModelWrapValidatorHandler["RecoveryConfig"]) -> "RecoveryConfig":
        """Check the rules between fields also when a field is refused: one round of corrections has to be enough."""
        if not isinstance(data, Mapping):
            return handler(data)
        refused: list[InitErrorDetails] = []
        try:
            config = handler(data)
        except ValidationError as exc:
            refused = [
                InitErrorDetails(type=error["type"], loc=error["loc"], input=error["input"], ctx=error.get("ctx", {}))
                for error in exc.errors(include_url=False)
            ]
            config = handler({name: value for name, value in data.items() if name not in _fields(refused)})
        for lower, upper in (("tier_1_hours", "tier_2_hours"), ("tier_2_hours", "maximum_age_hours")):
            if not {lower, upper} & _fields(refused) and getattr(config, lower) >= getattr(config, upper):
                refused.append(_out_of_order(config, data, lower, upper))
        if refused:
            raise ValidationError.from_exception_data(cls.__name__, refused)
        return config

    @property
    def maximum_age(self) -> timedelta:
        """Beyond which nothing is answered without a person."""
        return timedelta(hours=self.maximum_age_hours)

    def tier_of(self, newest: datetime, *, now: datetime) -> RecoveryTier:
        """Return the tier of a chat by the time of its newest message; a time to come counts as now."""
        hours = (now - newest) / timedelta(hours=1)
        if hours < self.tier_1_hours:
            return RecoveryTier.TIER_1
        return RecoveryTier.TIER_2 if hours < self.tier_2_hours else RecoveryTier.TIER_3

    def pace(self, tier: RecoveryTier) -> Pace:
        """Return how fast a tier's chats are read."""
        match tier:
            case RecoveryTier.TIER_1:
                return Pace(self.tier_1_batch_size, self.tier_1_concurrency, self.tier_1_delay_seconds)
            case RecoveryTier.TIER_2:
                return Pace(self.tier_2_batch_size, self.tier_2_concurrency, self.tier_2_delay_seconds)
            case RecoveryTier.TIER_3:
                return Pace(self.tier_3_batch_size, self.tier_3_concurrency, self.tier_3_delay_seconds)


def _fields(errors: Sequence[InitErrorDetails]) -> set[str]:
    return {str(error["loc"][0]) for error in errors}


def _out_of_order(config: RecoveryConfig, data: Mapping[str, object], lower: str, upper: str) -> InitErrorDetails:
    """Say that two bounds are not in ascending order, at the one that was set."""
    at = upper if upper in data else lower
    problem = f"{lower} ({getattr(config, lower):g}) has to be less than {upper} ({getattr(config, upper):g})"
    return InitErrorDetails(
        type=PydanticCustomError("value_error", "{problem}", {"problem": problem}), loc=(at,), input=data.get(at)
    )
