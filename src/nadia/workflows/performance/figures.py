"""What a measurement holds."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

_STRICT = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Samples(BaseModel):
    """Measured by us."""

    model_config = _STRICT

    kind: Literal["samples"] = "samples"
    values: list[float]
    """One number of seconds for each round: the median of what was tried in it."""


class Counted(BaseModel):
    """Counted by NADIA's own work in the hours before."""

    model_config = _STRICT

    kind: Literal["counted"] = "counted"
    counts: dict[float, float]
    """How many took no longer than these seconds and longer than the next smaller; infinity is the last."""


Measured = Annotated[Samples | Counted, Field(discriminator="kind")]


class Machine(BaseModel):
    """Where something was measured, and with what."""

    model_config = _STRICT

    processor: str
    architecture: str
    processors: int
    """That this process may use."""
    memory_bytes: int
    system: str
    python: str
    nadia: str
    postgres: str | None
    redis: str | None


class Baseline(BaseModel):
    """One measurement."""

    model_config = _STRICT

    name: str
    measured_at: AwareDatetime
    measured_by: str
    automatic: bool
    machine: Machine
    figures: dict[str, Measured]


FIGURES: TypeAdapter[dict[str, Measured]] = TypeAdapter(dict[str, Measured])
"""Reads and writes the column ``figures``."""
