"""`nadia health`: is it well? One answer, and what to do about what is not."""

import asyncio
import gc
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from nadia.cli.exit_codes import ExitCode
from nadia.cli.groups import command_group
from nadia.cli.output import CYAN, FAINT, GREEN, RED, YELLOW, JsonOption, paint, print_json
from nadia.cli.process_config import load_config

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from nadia.health.checker import HealthChecker
    from nadia.health.models import HealthReport, HealthStatus, ProbeResult
    from nadia.settings import Config

app = command_group("Tell whether everything is well, and what to do about what is not.")

_WATCH_SECONDS: Final = 5.0
_GROUP_WIDTH: Final = len("installation")
_STATUS_WIDTH: Final = len("critical") + 2
_NARROWEST: Final = 20
_STYLES: Final = {"healthy": GREEN, "unknown": CYAN, "warning": YELLOW, "critical": RED}
_UNREACHABLE: Final = ("postgres-connection", "redis-connection")
"""Probes of what every other one depends on."""


@app.command()
def health(
    as_json: JsonOption = False,
    probe: Annotated[
        list[str] | None, typer.Option(help="Run only this probe; may be given several times.", metavar="ID")
    ] = None,
    watch: Annotated[bool, typer.Option(help="Look again every 5 seconds, until Ctrl-C.")] = False,
) -> None:
    """Tell whether everything is well, and what to do about what is not.

    Exit code 1 if something is not, 3 if PostgreSQL or Redis cannot be reached.
    """
    gc.disable()  # what is imported stays: looking for garbage meanwhile finds none, and takes a fifth of the time
    config = load_config()
    raise typer.Exit(asyncio.run(_health(config, tuple(probe or ()), as_json=as_json, watch=watch)))


async def _health(config: "Config", only: tuple[str, ...], *, as_json: bool, watch: bool) -> ExitCode:
    from nadia.app.health import open_health_checker

    gc.enable()
    async with open_health_checker(config) as checker:
        if watch:
            await _watch(checker, only, as_json=as_json)
        report = await checker.report(only)
        if as_json:
            print_json(report.model_dump(mode="json"))
        else:
            print("\n".join(_lines(report)))
        return _exit_code(report)


async def _watch(checker: "HealthChecker", only: tuple[str, ...], *, as_json: bool) -> NoReturn:
    """Print report after report: over the last one on a terminal, below it elsewhere."""
    in_place = sys.stdout.isatty() and not as_json
    while True:
        report = await checker.report(only)
        if as_json:
            print(report.model_dump_json(), flush=True)
        elif in_place:
            height = shutil.get_terminal_size().lines - 1
            # Home, each line to its end, then whatever the last report had below: nothing flickers.
            text = "\x1b[K\n".join(list(_lines(report))[:height])
            print(f"\x1b[H{text}\x1b[J", flush=True)
        else:
            print(f"{report.checked_at:%Y-%m-%dT%H:%M:%SZ} {report.status}: {report.summary}", flush=True)
        await asyncio.sleep(_WATCH_SECONDS)


def _exit_code(report: "HealthReport") -> ExitCode:
    from nadia.health.models import HealthStatus

    if report.status is HealthStatus.HEALTHY:
        return ExitCode.FINE
    away = any(probe.id in _UNREACHABLE and probe.status is HealthStatus.CRITICAL for probe in report.probes)
    # Where nothing is wrong but something is unknown, what it asks did not answer.
    return ExitCode.UNREACHABLE if away or report.status is HealthStatus.UNKNOWN else ExitCode.NOT_FINE


def _lines(report: "HealthReport") -> "Iterator[str]":
    """Yield what people read: what is not healthy, worst first and with its remedy; then the rest, a line each."""
    from nadia.health.models import HealthStatus

    concerned = [probe for probe in report.probes if probe.status is not HealthStatus.HEALTHY]
    concerned.sort(key=lambda probe: list(HealthStatus).index(probe.status), reverse=True)
    yield _headline(report, len(concerned))
    for alike in _by_reason(concerned):
        yield ""
        yield from _in_full(alike[0]) if len(alike) == 1 else _in_brief(alike)
    healthy = [probe for probe in report.probes if probe.status is HealthStatus.HEALTHY]
    if healthy:
        yield ""
    group = ""
    title_width = max((len(probe.title) for probe in healthy), default=0)
    for probe in healthy:
        name = f"{probe.group if probe.group != group else '':<{_GROUP_WIDTH}}"
        group = probe.group
        head = f"{name}  {probe.title:<{title_width}}  "
        first, *more = _wrapped(probe.summary, indent=len(head))
        yield _faint(name) + head[len(name) :] + first
        yield from (" " * len(head) + line for line in more)


def _headline(report: "HealthReport", concerned: int) -> str:
    count = f"{len(report.probes)} probes" if len(report.probes) != 1 else "1 probe"
    found = f"{concerned} of {count}" if concerned else count
    return f"{_painted(report.status)}  {_faint(f'{found}, {report.seconds:.2f} s')}"


def _in_full(probe: "ProbeResult") -> "Iterator[str]":
    indent = " " * _STATUS_WIDTH
    yield f"{_painted(probe.status)}{' ' * (_STATUS_WIDTH - len(probe.status))}{probe.title} ({probe.id})"
    yield from (indent + line for line in _wrapped(probe.summary, indent=_STATUS_WIDTH))
    if probe.hint:
        yield from (indent + line for line in _wrapped(f"hint: {probe.hint}", indent=_STATUS_WIDTH))
    yield indent + _faint(probe.docs)


def _in_brief(alike: "Sequence[ProbeResult]") -> "Iterator[str]":
    """Yield several that are unknown for one reason, which stands above them with its remedy."""
    indent = " " * _STATUS_WIDTH
    yield f"{_painted(alike[0].status)}{' ' * (_STATUS_WIDTH - len(alike[0].status))}{len(alike)} probes"
    yield from (indent + line for line in _wrapped(alike[0].summary, indent=_STATUS_WIDTH))
    yield from (
        indent + _faint(line) for line in _wrapped(", ".join(probe.id for probe in alike), indent=_STATUS_WIDTH)
    )


def _by_reason(concerned: "Sequence[ProbeResult]") -> "Iterable[Sequence[ProbeResult]]":
    """Put those together that are unknown for the same reason; all others stay alone."""
    from nadia.health.models import HealthStatus

    found: dict[str, list[ProbeResult]] = {}
    for probe in concerned:
        reason = probe.summary if probe.status is HealthStatus.UNKNOWN else probe.id
        found.setdefault(reason, []).append(probe)
    return found.values()


def _wrapped(text: str, *, indent: int) -> list[str]:
    """Break a text where a terminal would; elsewhere a line stays one, for those who search it."""
    if not sys.stdout.isatty():
        return [text]
    width = max(_NARROWEST, shutil.get_terminal_size().columns - indent)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _painted(status: "HealthStatus") -> str:
    return paint(status.value, _STYLES[status], stream=sys.stdout)


def _faint(text: str) -> str:
    return paint(text, FAINT, stream=sys.stdout)
