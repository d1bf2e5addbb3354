"""Small charts as SVG, drawn by the server: one line over time, its highest value, its latest.

A template draws `Chart` with ``templates/charts.html``; colours come from the style sheet.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

WIDTH: Final = 320
HEIGHT: Final = 64
_TOP: Final = 4
"""Room above the highest value, so that a line at the top is whole."""

Points = Sequence[tuple[datetime, float | None]]
"""Moments, oldest first, with a value each; None where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A stretch of the chart that answers to the pointer."""

    x: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A line over time, ready to be drawn in a box of `WIDTH` by `HEIGHT`."""

    title: str
    latest: str
    """The latest value, in words; a dash where there is none."""
    highest: str
    line: str
    """The path of the line; empty where nothing was measured."""
    area: str
    """The path of what is under the line."""
    spots: Sequence[Spot]
    since: datetime


def chart(title: str, points: Points, *, words: Callable[[float], str], grows: bool = False) -> Chart:
    """Draw a line over time, from zero up to its highest value.

    Parameters
    ----------
    title : str
        What it shows.
    points : sequence
        What was measured; at least one point. A gap in the values is a gap in the line.
    words : callable
        Says a value as people read it, unit included.
    grows : bool
        Whether the last value still rises, because it counts; the one before it is the latest then.
    """
    step = WIDTH / max(1, len(points) - 1)
    values = [value for _, value in points if value is not None]
    highest = max(values, default=0.0)
    scale = (HEIGHT - _TOP) / highest if highest > 0 else 0.0
    runs = _runs(
        [
            (index * step, HEIGHT - value * scale) if value is not None else None
            for index, (_, value) in enumerate(points)
        ]
    )
    # What is older than the last two is no news.
    newest = [value for _, value in points[-2:]][:: 1 if grows else -1]
    latest = next((value for value in newest if value is not None), None)
    return Chart(
        title=title,
        latest="–" if latest is None else words(latest),
        highest=words(highest) if values else "",
        line=" ".join(_path(run) for run in runs),
        area=" ".join(f"{_path(run)} V{HEIGHT} H{run[0][0]:.1f} Z" for run in runs),
        spots=[
            Spot(
                x=max(0.0, index * step - step / 2),
                width=step,
                words=f"{moment:%H:%M} UTC: {'nothing measured' if value is None else words(value)}",
            )
            for index, (moment, value) in enumerate(points)
        ],
        since=points[0][0],
    )


def _runs(places: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Return the stretches without a gap; a single point becomes a short line, or it would not be seen."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place in places:
        if place is not None:
            runs[-1].append(place)
        elif runs[-1]:
            runs.append([])
    return [run if len(run) > 1 else [run[0], (run[0][0] + 1.5, run[0][1])] for run in runs if run]


def _path(run: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in run)
