"""`nadia alerts`: what is wrong, who looks after it, and what need not bother anybody for a while."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import CYAN, RED, YELLOW, JsonOption, paint, print_json, print_table
from nadia.cli.process_config import load_config, operator

if TYPE_CHECKING:
    from nadia.alerting.models import Alert, Matcher, Silence
    from nadia.alerting.service import Alerts

app = command_group("What is wrong and not known to be over: look after it, or silence it for a while.")

T = TypeVar("T")

_COLOURS: Final = {"critical": RED, "warning": YELLOW, "info": CYAN}
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}

Fingerprint = Annotated[str, typer.Argument(metavar="FINGERPRINT", help="The alert, as `nadia alerts list` names it.")]


@app.command("list")
def list_alerts(as_json: JsonOption = False) -> None:
    """Print what is wrong, the worst first, and which silences are in force."""
    alerts, silences = _run(_both)
    if as_json:
        print_json(
            {"alerts": [_alert(alert) for alert in alerts], "silences": [asdict(silence) for silence in silences]}
        )
        return
    if not alerts:
        print("No alert fires.")
    else:
        print_table(
            ("fingerprint", "severity", "topic", "concerns", "last", "times", "looked after by", "silenced by"),
            [
                (
                    alert.fingerprint,
                    alert.severity.value,
                    alert.topic,
                    _pairs(alert.labels.items()),
                    _moment(alert.last_at),
                    str(alert.count),
                    alert.acknowledged_by_name or "",
                    ", ".join(map(str, alert.silenced_by)),
                )
                for alert in alerts
            ],
        )
    if silences:
        print()
        print_table(
            ("silence", "labels", "ends", "by", "reason"),
            [
                (
                    str(silence.id),
                    _words(silence),
                    _moment(silence.ends_at),
                    silence.created_by_name,
                    silence.reason,
                )
                for silence in silences
            ],
        )


@app.command()
def show(fingerprint: Fingerprint, as_json: JsonOption = False) -> None:
    """Print an alert that fires, and where to read what to do."""
    alert = _run(lambda service: service.get(fingerprint))
    if as_json:
        print_json(_alert(alert))
        return
    print(paint(f"{alert.severity.value}: {alert.topic}", _COLOURS[alert.severity.value], stream=sys.stdout))
    print(alert.summary)
    if alert.labels:
        print(f"concerns {_pairs(alert.labels.items())}")
    print(f"told {alert.count} times, first {_moment(alert.first_at)}, last {_moment(alert.last_at)}")
    if alert.acknowledged_by is not None:
        note = f": {alert.note}" if alert.note else ""
        print(f"{alert.acknowledged_by_name} looks after it since {_moment(alert.acknowledged_at)}{note}")
    if alert.silenced_by:
        print(f"silenced by {', '.join(map(str, alert.silenced_by))}")
    print(f"what to do: {_alert(alert)['documentation']}")


@app.command()
def ack(
    fingerprint: Fingerprint,
    note: Annotated[str, typer.Option(help="What others should know.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Say that you look after an alert; holds until it is over."""
    alert = _run(lambda service: service.acknowledge(fingerprint, actor=operator(), note=note))
    if as_json:
        print_json(_alert(alert))
        return
    print(f"{alert.acknowledged_by_name} looks after {alert.topic} {_pairs(alert.labels.items())}".rstrip())


@app.command()
def silence(
    label: Annotated[
        list[str],
        typer.Argument(metavar="LABEL=VALUE...", help="Alerts that have all of these; topic=batch.parked is one too."),
    ],
    length: Annotated[str, typer.Option("--for", metavar="2h", help="How long: 45m, 2h or 3d; 30 days at most.")],
    reason: Annotated[str, typer.Option(help="Why; goes on record with your name.")],
    as_json: JsonOption = False,
) -> None:
    """Let alerts bother nobody for a while; they stay listed."""
    from nadia.clock import utc_now

    matchers, until = [_matcher(word) for word in label], utc_now() + _length(length)

    async def begin(service: "Alerts") -> "tuple[Silence, int]":
        made = await service.silence(matchers, until=until, actor=operator(), reason=reason)
        return made, sum(made.id in alert.silenced_by for alert in await service.current())

    made, silenced = _run(begin)
    if as_json:
        print_json(asdict(made) | {"silences_now": silenced})
        return
    print(f"silence {made.id} holds until {_moment(made.ends_at)}; alerts that fire and have these labels: {silenced}")


@app.command()
def unsilence(
    silence_id: Annotated[int, typer.Argument(metavar="SILENCE", help="Its number, from `nadia alerts list`.")],
    as_json: JsonOption = False,
) -> None:
    """End a silence now."""
    ended = _run(lambda service: service.unsilence(silence_id, actor=operator()))
    if as_json:
        print_json(asdict(ended))
        return
    print(f"silence {ended.id} of {_words(ended)} has ended")


async def _both(service: "Alerts") -> "tuple[list[Alert], list[Silence]]":
    return await service.current(), await service.silences()


def _alert(alert: "Alert") -> dict[str, Any]:
    from nadia.alerting.documents import section

    return asdict(alert) | {"documentation": section(alert.topic, alert.labels)}


def _moment(moment: "datetime | None") -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _pairs(labels: Iterable[tuple[str, str]]) -> str:
    return " ".join(f"{name}={value}" for name, value in labels)


def _words(silence: "Silence") -> str:
    return _pairs((matcher.name, matcher.value) for matcher in silence.matchers)


def _matcher(word: str) -> "Matcher":
    from nadia.alerting.models import Matcher
    from nadia.errors import InvalidInputError

    name, equals, value = word.partition("=")
    if not equals:
        raise InvalidInputError(f"{word!r} is no label with its value", field="LABEL", hint="write topic=batch.parked")
    return Matcher(name, value)


def _length(text: str) -> timedelta:
    from nadia.alerting.store import LONGEST_SILENCE
    from nadia.errors import InvalidInputError

    found = re.fullmatch(r"(\d{1,6})([mhd])", text)
    length = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < length <= LONGEST_SILENCE:
        raise InvalidInputError(
            f"{text!r} is no length of 1 minute to {LONGEST_SILENCE.days} days", field="--for", hint="45m, 2h or 3d"
        )
    return length


def _run(work: "Callable[[Alerts], Awaitable[T]]") -> T:
    """Do something with the service on a running installation."""
    config = load_config()

    async def connected() -> T:
        from nadia.alerting.service import Alerts
        from nadia.app.factory import open_database

        async with open_database(config, name="cli") as database:
            return await work(Alerts(database=database))

    return asyncio.run(connected())
