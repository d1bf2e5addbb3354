"""The command: start, play, wait until all has ended, count."""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, print_json

if TYPE_CHECKING:
    from nadia.app.context import ProcessContext
    from nadia.cli.demo.customers import ScriptedCustomer
    from nadia.cli.demo.tally import Tally
    from nadia.settings import Config

app = command_group("Play a scripted day on a temporary home, and check that every count adds up.")

_WINDOW_SECONDS: Final = 0.6
_SETTLE_SECONDS: Final = 120.0


@app.command()
def demo(
    customers: Annotated[int, typer.Option(min=1, max=1_000, help="How many customers write.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed is the same day.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Play a day of conversations through every stage, with an automatic reviewer; exit 0 only if all adds up."""
    from nadia.logs import configure_logging

    configure_logging(level="error", format="console")
    with _temporary_home() as home:
        tally, decisions, seconds = asyncio.run(_play(_demo_config(home), customers, seed, quiet=as_json))
    if as_json:
        print_json(
            {
                "counts": dict(tally.counts),
                "bubbles": tally.bubbles,
                "decisions": decisions,
                "latencies": [
                    {"stage": one.stage, "samples": one.samples, "median": one.median, "p95": one.p95}
                    for one in tally.latencies
                ],
                "problems": list(tally.problems),
                "seconds": seconds,
            }
        )
    else:
        _print_report(tally, decisions, seconds)
    if tally.problems:
        raise typer.Exit(1)


def _demo_config(home: Path) -> "Config":
    from nadia.settings import Config

    return Config.from_env(
        {
            "NADIA_HOME": str(home),
            "NADIA_WEB_PORT": "0",
            "NADIA_PACING_WINDOW_SECONDS": str(_WINDOW_SECONDS),
            "NADIA_DELIVERY_SPEED": "20",
            "NADIA_DELIVERY_UNDO_SECONDS": "0.3",
        },
        dotenv=None,
    )


async def _play(config: "Config", customers: int, seed: int, *, quiet: bool) -> "tuple[Tally, dict[str, int], float]":
    from nadia.accounts.models import Role
    from nadia.app.bot import bot_parts
    from nadia.app.factory import open_context
    from nadia.app.installation import first_login_path, running_installation
    from nadia.app.supervision import run_parts
    from nadia.app.worker import worker_parts
    from nadia.cli.demo.customers import ScriptedCustomer, chats
    from nadia.cli.demo.reviewer import AutomaticReviewer
    from nadia.cli.demo.script import write_script
    from nadia.cli.demo.tally import take_tally, until_settled
    from nadia.web.role import serving

    begun = time.monotonic()
    async with (
        running_installation(config) as installation,
        open_context(config, role="demo", owns_home=True) as context,
        serving(context) as web,
    ):
        stop = asyncio.Event()
        parts = asyncio.create_task(run_parts({**worker_parts(context), **bot_parts(context)}, until=stop))
        try:
            await first_login_path(context.accounts, context.database)
            admin = await context.accounts.by_name("admin")
            token, _ = await context.accounts.tokens.create(admin, name="demo", role=Role.REVIEWER, actor="cli:demo")
            reviewer = AutomaticReviewer(url=web.url, token=token, seed=seed)
            script = write_script(
                customers=customers, seed=seed, window_seconds=_WINDOW_SECONDS, spread_seconds=customers / 8
            )
            playing = [
                ScriptedCustomer(part=part, address=installation.endpoints.sandbox, account=config.telegram.account)
                for part in script
            ]
            reviewing = asyncio.create_task(reviewer.run())
            showing = asyncio.create_task(
                _show_progress(context, playing, sum(part.messages for part in script), quiet)
            )
            try:
                await asyncio.gather(*(customer.play() for customer in playing))
                written = sum(customer.written for customer in playing)
                with suppress(TimeoutError):  # the tally says what has not ended
                    async with asyncio.timeout(_SETTLE_SECONDS):
                        await until_settled(context.database, messages=written)
            finally:
                for task in (reviewing, showing):
                    task.cancel()
                await asyncio.gather(reviewing, showing, return_exceptions=True)
            phones = await chats(
                address=installation.endpoints.sandbox,
                account=config.telegram.account,
                user_ids=[customer.user_id for customer in playing],
            )
            tally = await take_tally(context.database, phones)
            return tally, dict(reviewer.decisions), time.monotonic() - begun
        finally:
            stop.set()
            await parts


async def _show_progress(
    context: "ProcessContext", playing: "Sequence[ScriptedCustomer]", messages: int, quiet: bool
) -> None:
    """Show how far the day is, until cancelled; on a terminal only."""
    if quiet:
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from nadia.conversations.models import BatchState

    console = Console(stderr=True)
    if not console.is_terminal:
        return
    ends = (BatchState.SENT, BatchState.REJECTED, BatchState.EXPIRED)
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        written = progress.add_task("written", total=messages)
        ended = progress.add_task("answered", total=None)
        while True:
            counts = await context.batches.counts(list(BatchState))
            progress.update(written, completed=sum(customer.written for customer in playing))
            progress.update(ended, completed=sum(counts[state] for state in ends), total=sum(counts.values()) or None)
            await asyncio.sleep(0.2)


def _print_report(tally: "Tally", decisions: dict[str, int], seconds: float) -> None:
    counts = tally.counts
    saved = counts["messages"] - counts["drafts"]
    share = saved / counts["messages"] if counts["messages"] else 0.0
    lines = [
        ("messages from customers", f"{counts['messages']:,.0f}"),
        ("batches", f"{counts['batches']:,.0f}: {counts['sent']:,.0f} sent, {counts['rejected']:,.0f} rejected"),
        ("drafts", f"{counts['drafts']:,.0f} model calls, {saved:,.0f} fewer than messages ({share:.0%})"),
        ("bubbles delivered", f"{tally.bubbles:,}"),
        ("transitions on record", f"{counts['transitions']:,.0f}"),
        ("reviewer", ", ".join(f"{name} {count}" for name, count in sorted(decisions.items()))),
    ]
    print(f"The day took {seconds:.0f} s.\n")
    for name, value in lines:
        print(f"  {name:<24} {value}")
    print(f"\n  {'stage':<30} {'median':>9} {'p95':>9}")
    for one in tally.latencies:
        print(f"  {one.stage:<30} {one.median:>7.2f} s {one.p95:>7.2f} s")
    print()
    for problem in tally.problems:
        print(f"  wrong: {problem}")
    print("nothing lost, nothing twice, every chat in order" if not tally.problems else "it does not add up")


@contextmanager
def _temporary_home() -> Iterator[Path]:
    """Make a home with a short path that the embedded servers' user may pass through, and remove it in the end."""
    base = Path(tempfile.mkdtemp(prefix="nadia-demo-"))
    if os.geteuid() == 0:
        base.chmod(0o711)
    home = base / "home"
    home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
    try:
        yield home
    finally:
        shutil.rmtree(base, ignore_errors=True)
