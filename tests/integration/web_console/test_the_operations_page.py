"""The operations page and its API."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from nadia import notices
from nadia.accounts.models import Role
from nadia.clock import utc_now
from nadia.health.models import HealthReport, HealthStatus
from nadia.health.probe import Finding
from nadia.llm import metrics as llm_metrics
from nadia.notices import Notice, Severity
from nadia.workflows.run_history import RunHistory, RunOutcome, RunRecord
from nadia.workflows.schedule_state import DaemonState, JobState
from support.desk_app import DeskHouse, desk_house

FULL = Finding(
    status=HealthStatus.CRITICAL,
    summary="230 MB in use",
    value=230e6,
    unit="bytes",
    threshold=200e6,
    hint="see what fills it",
)


async def the_page(client: httpx.AsyncClient, hours: int = 6) -> str:
    answer = await client.get("/operations", params={"hours": hours}, headers={"Accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def tell(house: DeskHouse, notice: Notice) -> None:
    async with house.database.connection() as conn:
        await notices.record(conn, notice)


def daemon_state(**changed: object) -> DaemonState:
    now = utc_now()
    state = DaemonState(
        by="host/1/a",
        started_at=now - timedelta(hours=1),
        beat_at=now,
        stale_after_seconds=60,
        active=True,
        fencing_token=3,
        vouches_until=now + timedelta(minutes=10),
        outcomes_waiting=0,
        records_waiting=0,
        jobs=[JobState(name="health-check", every_seconds=300, next_at=now + timedelta(minutes=4))],
        conditions=[],
    )
    return state.model_copy(update=changed)


async def test_what_is_well_is_said_to_be_well(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    page = await the_page(ann)
    assert "Everything is well" in page
    assert "Redis memory" in page


async def test_what_is_red_stands_first_and_leads_to_what_to_do(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    house.probe.finding = FULL
    page = await the_page(ann)
    assert "One thing is not well" in page
    assert "see what fills it" in page
    (target,) = re.findall(r'class="button small" href="(/help/[^"]+)"', page)
    section = target.partition("#")[2]
    document = await ann.get(target, headers={"Accept": "text/html"})
    assert document.status_code == 200
    assert f'id="{section}"' in document.text


async def test_many_open_pages_cost_one_check(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    await asyncio.gather(*(the_page(ann) for _ in range(8)))
    assert house.probe.looks == 1


async def test_the_api_reports_as_the_command_does(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    house.probe.finding = FULL
    report = HealthReport.model_validate((await ann.get("/api/v1/health")).json())
    assert report.of("redis-memory").status is HealthStatus.CRITICAL


@pytest.mark.parametrize(
    "path", ["/operations", "/help", "/help/health", "/api/v1/health", "/api/v1/alerts", "/api/v1/daemon"]
)
async def test_strangers_see_nothing(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(path)
    assert answer.status_code == 401
    assert "redis" not in answer.text.lower()


@pytest.mark.parametrize("hours", ["0", "-1", "25", "1000000", "x", ""])
async def test_a_range_that_is_not_offered_is_refused(ann: httpx.AsyncClient, hours: str) -> None:
    answer = await ann.get("/operations", params={"hours": hours})
    assert answer.status_code == 422
    assert answer.json()["error"]["field"] == "hours"


async def test_alerts_are_shown_until_they_are_over(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    began = Notice(topic="batch.parked", summary="an item is parked", severity=Severity.CRITICAL, labels={"batch": "7"})
    await tell(house, began)
    await tell(house, began)
    page = await the_page(ann)
    assert "1 open" in page
    assert "2 times" in page
    assert 'href="/help/alerts#' in page
    assert [alert["topic"] for alert in (await ann.get("/api/v1/alerts")).json()] == ["batch.parked"]
    await tell(house, Notice(topic="batch.parked", summary="it went on", labels={"batch": "7"}, resolves=True))
    assert "Nothing is open" in await the_page(ann)


async def test_hostile_words_in_a_notice_stay_words(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    await tell(house, Notice(topic="x", summary="<script>alert(1)</script>", labels={"<b>": '"><img src=x>'}))
    page = await the_page(ann)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


async def test_the_daemons_jobs_are_shown_with_their_last_runs(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    assert "No daemon is active" in await the_page(ann)
    await house.schedule.publish(daemon_state())
    runs = RunHistory(redis=house.redis)
    for minutes, outcome in ((10, RunOutcome.DONE), (5, RunOutcome.TIMED_OUT)):
        due = utc_now() - timedelta(minutes=minutes)
        record = RunRecord(
            job="health-check",
            due_at=due,
            started_at=due,
            seconds=1.5,
            outcome=outcome,
            status=HealthStatus.HEALTHY if outcome is RunOutcome.DONE else HealthStatus.UNKNOWN,
            summary=f"it was {outcome}",
            by="host/1/a",
        )
        await runs.add(record, keep=100)
    page = await the_page(ann)
    assert re.findall(r'data-outcome="(\w+)" data-tone="(\w*)"', page) == [("done", "good"), ("timed_out", "bad")]
    assert "took 1.5 s" in page
    assert (await ann.get("/api/v1/daemon")).json()["jobs"][0]["name"] == "health-check"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"beat_at": utc_now() - timedelta(hours=1)}, "No daemon is active"),
        ({"active": False}, "no daemon can be the active one"),
        ({"vouches_until": utc_now() - timedelta(hours=1)}, "No health check has answered for too long"),
    ],
)
async def test_a_daemon_that_does_not_look_after_things_is_not_shown_as_active(
    house: DeskHouse, ann: httpx.AsyncClient, changed: dict[str, object], said: str
) -> None:
    await house.schedule.publish(daemon_state(**changed))
    page = await the_page(ann)
    assert said in page
    assert "active since" not in page
    assert 'href="/help/daemon"' in page


async def test_stretches_in_which_nothing_ran_are_not_drawn_as_zeroes(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    assert "Messages in 5 min: – at last" in await the_page(ann)


async def test_charts_show_what_was_counted(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    llm_metrics.COST.labels("offline").inc(0.5)
    await house.recorder.record()
    page = await the_page(ann, hours=1)
    assert re.search(r"Models, cost in 5 min</span> <span[^>]*>\$0\.\d{4}<", page)


async def test_without_redis_the_page_says_what_it_cannot_show_and_shows_the_rest(
    postgres_dsn: str, tmp_path: Path
) -> None:
    nowhere = "redis://127.0.0.1:1/0"
    async with desk_house(dsn=postgres_dsn, redis_url=nowhere, folder=tmp_path) as house:
        token = await house.token("root", Role.ADMIN)
        async with httpx.AsyncClient(
            base_url=house.url, headers={"Authorization": f"Bearer {token}"}, timeout=30
        ) as client:
            page = await the_page(client)
    assert "Cannot be shown: Redis" in page
    assert "Recovery after downtime" in page
    assert "Everything is well" in page


def test_the_schema_of_the_report_names_what_the_api_returns() -> None:
    schema = json.loads((Path(__file__).parents[3] / "docs" / "reference" / "health.schema.json").read_text())
    assert set(schema["properties"]) == set(HealthReport.model_fields)
