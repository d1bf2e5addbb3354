"""How a figure is written down: what was measured, how, and on which machine; one line of JSON each."""

import functools
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import psutil


@dataclass(frozen=True)
class Figure:
    """One measurement.

    Parameters
    ----------
    benchmark, name : str
        The module that measured, and what it measured.
    unit : str
        Of the values: ``s``, ``MB``, ``ratio``, ``1/s``.
    values : mapping
        Statistic to value.
    samples : int
        How many observations the values stand on.
    setup : mapping
        Process layout, load and whatever else is needed to measure it again.
    budget : mapping, optional
        Statistic to the figure of DESIGN section 7.
    """

    benchmark: str
    name: str
    unit: str
    values: Mapping[str, float]
    samples: int = 1
    setup: Mapping[str, object] = field(default_factory=dict)
    budget: Mapping[str, float] | None = None


def report(figure: Figure) -> None:
    """Print a figure with the machine it was measured on."""
    values = {name: round(float(value), 4) for name, value in figure.values.items()}
    print(json.dumps(asdict(figure) | {"values": values, "machine": machine()}), file=sys.stdout, flush=True)


@functools.cache
def machine() -> dict[str, object]:
    """Describe this machine, without its name."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "python": platform.python_version(),
    }
