"""What is wrong now, and what people say about it, on a real PostgreSQL."""

import asyncio
from datetime import timedelta
from typing import Any, LiteralString

import pytest

from nadia import notices
from nadia.accounts.models import Role
from nadia.alerting import retention
from nadia.alerting.models import Matcher
from nadia.alerting.service import Alerts
from nadia.clock import utc_now
from nadia.errors import InvalidInputError, NotFoundError
from nadia.metrics import REGISTRY
from nadia.notices import Notice, Severity
from nadia.postgres.database import Database
from support.account_fixtures import SECRET_KEY

PARKED = Notice("batch.parked", "batch 7 is parked: take it up at the desk", labels={"account": "desk"})
FAILING = Notice("daemon.job_failing", "redis-health failed three times", Severity.CRITICAL, {"job": "redis-health"})
WELL = Notice("daemon.job_failing", "redis-health runs again", labels={"job": "redis-health"}, resolves=True)
ANN = "account:1"


async def say(database: Database, *told: Notice, days_ago: float = 0) -> None:
    for notice in told:
        async with database.transaction() as conn:
            await notices.record(conn, notice)
            await conn.execute(
                "UPDATE notices SET at = clock_timestamp() - %s WHERE id = (SELECT max(id) FROM notices)",
                [timedelta(days=days_ago)],
            )


async def make_older(database: Database, *, days: float) -> None:
    """Move what was told and said into the past; silences in force go on."""
    async with database.transaction() as conn:
        by = {"by": timedelta(days=days)}
        await conn.execute("UPDATE notices SET at = at - %(by)s", by)
        await conn.execute("UPDATE alert_acknowledgements SET at = at - %(by)s", by)
        await conn.execute(
            "UPDATE alert_silences SET starts_at = starts_at - %(by)s,"
            " ends_at = ends_at - CASE WHEN ends_at < clock_timestamp() THEN %(by)s ELSE interval '0' END",
            by,
        )


async def rows(database: Database, statement: LiteralString) -> list[dict[str, Any]]:
    async with database.connection() as conn:
        return await (await conn.execute(statement)).fetchall()


async def topics(alerts: Alerts) -> list[str]:
    return [alert.topic for alert in await alerts.current()]


async def test_nothing_is_wrong_at_first(alerts: Alerts) -> None:
    assert await alerts.current() == []
    assert await alerts.history() == []
    assert await alerts.silences() == []


async def test_a_notice_fires_until_one_resolves_it(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING, PARKED)
    assert await topics(alerts) == ["daemon.job_failing", "batch.parked"]  # the worst first

    await say(alert_database, WELL)
    assert await topics(alerts) == ["batch.parked"]

    await say(alert_database, FAILING)
    (again, _) = await alerts.current()
    assert again.count == 1, "what was before the resolve is another story"


async def test_notices_of_one_thing_are_one_alert_with_its_newest_words(
    alerts: Alerts, alert_database: Database
) -> None:
    await say(alert_database, FAILING, days_ago=1)
    later = Notice(FAILING.topic, "redis-health failed nine times", Severity.WARNING, FAILING.labels)
    await say(alert_database, later)
    (alert,) = await alerts.current()
    assert (alert.summary, alert.severity, alert.count) == (later.summary, Severity.WARNING, 2)
    assert alert.fingerprint == FAILING.fingerprint
    assert timedelta(hours=23) < alert.last_at - alert.first_at < timedelta(hours=25)


async def test_what_nobody_has_heard_of_for_a_week_is_history(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, PARKED, days_ago=7.1)
    await say(alert_database, FAILING, days_ago=6.9)
    assert await topics(alerts) == ["daemon.job_failing"]
    assert {event.topic for event in await alerts.history()} == {"batch.parked", "daemon.job_failing"}


async def test_a_resolve_that_was_never_preceded_by_anything_fires_nothing(
    alerts: Alerts, alert_database: Database
) -> None:
    await say(alert_database, WELL)
    assert await alerts.current() == []
    (event,) = await alerts.history()
    assert event.resolves


async def test_notices_from_before_there_were_fingerprints_are_history_only(
    alerts: Alerts, alert_database: Database
) -> None:
    await rows(alert_database, "INSERT INTO notices (topic, severity, summary) VALUES ('old', 'info', '') RETURNING 1")
    assert await alerts.current() == []
    (event,) = await alerts.history()
    assert (event.topic, event.fingerprint) == ("old", None)


async def test_the_history_is_bounded(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING, WELL, FAILING)
    for limit, found in ((0, 0), (-5, 0), (2, 2), (10**9, 3)):
        events = await alerts.history(limit)
        assert len(events) == found
        assert [event.id for event in events] == sorted((event.id for event in events), reverse=True)


async def test_an_acknowledgement_names_the_person_and_is_on_record(alerts: Alerts, alert_database: Database) -> None:
    from nadia.accounts.service import AccountService

    marta = await AccountService(database=alert_database, secret_key=SECRET_KEY).create_first_admin(
        "marta", actor="system"
    )
    assert marta.role is Role.ADMIN
    await say(alert_database, FAILING)
    alert = await alerts.acknowledge(FAILING.fingerprint, actor=marta.reference, note="  looking\nat it ")
    assert (alert.acknowledged_by, alert.acknowledged_by_name) == (marta.reference, "marta")
    assert alert.note == "looking at it"
    assert (await alerts.current()) == [alert]
    (row,) = await rows(alert_database, "SELECT * FROM audit_log WHERE action = 'alert.acknowledged'")
    assert (row["actor"], row["subject"]) == (marta.reference, f"alert:{FAILING.fingerprint}")
    assert row["after"] == {"acknowledged_by": marta.reference, "note": "looking at it"}


async def test_an_acknowledgement_ends_with_the_resolve(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING)
    await alerts.acknowledge(FAILING.fingerprint, actor=ANN)
    await say(alert_database, FAILING)
    (still,) = await alerts.current()
    assert still.acknowledged_by == ANN, "another notice of the same thing ends nothing"

    await say(alert_database, WELL, FAILING)
    (new,) = await alerts.current()
    assert (new.acknowledged_by, new.acknowledged_at, new.note) == (None, None, "")


async def test_what_nothing_can_end_is_news_for_a_day(alerts: Alerts, alert_database: Database) -> None:
    expired = Notice("batch.expired", "not answered in time", labels={"batch": "7"})
    await say(alert_database, expired, days_ago=3)
    await say(alert_database, expired, days_ago=0.9)
    (alert,) = await alerts.current()
    assert alert.count == 1, "what was three days ago was another one"
    await alerts.acknowledge(expired.fingerprint, actor=ANN)
    await make_older(alert_database, days=0.2)
    assert await alerts.current() == []
    with pytest.raises(NotFoundError):
        await alerts.get(expired.fingerprint)
    await say(alert_database, expired)
    assert (await alerts.get(expired.fingerprint)).acknowledged_by is None


@pytest.mark.parametrize(("days", "holds"), [(6, True), (8, False)])
async def test_an_acknowledgement_ends_with_what_it_was_given_for_also_by_age(
    alerts: Alerts, alert_database: Database, days: int, holds: bool
) -> None:
    await say(alert_database, FAILING, days_ago=2)
    await alerts.acknowledge(FAILING.fingerprint, actor=ANN)
    await make_older(alert_database, days=days - 2)  # the acknowledgement itself is of this week
    await say(alert_database, FAILING)
    (alert,) = await alerts.current()
    assert (alert.acknowledged_by == ANN) is holds


async def test_an_end_is_put_down_once_and_only_of_what_is_open(alerts: Alerts, alert_database: Database) -> None:
    async def end(labels: dict[str, str]) -> bool:
        async with alert_database.transaction() as conn:
            return await notices.record_end(conn, FAILING.topic, labels, summary="it runs again")

    await say(alert_database, FAILING)
    before = REGISTRY.get_sample_value("nadia_notices_total", {"severity": "critical"}) or 0
    assert [await end({"job": "another"}), await end(dict(FAILING.labels)), await end(dict(FAILING.labels))] == [
        False,
        True,
        False,
    ]
    assert await alerts.current() == []
    (newest, _) = await alerts.history()
    assert (newest.resolves, newest.severity, newest.labels) == (True, Severity.CRITICAL, FAILING.labels)
    assert REGISTRY.get_sample_value("nadia_notices_total", {"severity": "critical"}) == before + 1


async def test_records_are_kept_for_ninety_days_and_what_is_in_force_longer(
    alerts: Alerts, alert_database: Database
) -> None:
    async def kept() -> list[int]:
        (row,) = await rows(
            alert_database,
            "SELECT ARRAY[(SELECT count(*) FROM notices), (SELECT count(*) FROM alert_acknowledgements),"
            " (SELECT count(*) FROM alert_silences)] AS counts",
        )
        return list(row["counts"])

    await say(alert_database, FAILING)
    await alerts.acknowledge(FAILING.fingerprint, actor=ANN)
    until = utc_now() + timedelta(days=30)
    ended = await alerts.silence([Matcher("topic", "a")], until=until, actor=ANN, reason="why")
    await alerts.silence([Matcher("topic", "b")], until=until, actor=ANN, reason="why")
    await alerts.unsilence(ended.id, actor=ANN)
    for days, left in ((89, [1, 1, 2]), (2, [0, 0, 1])):
        await make_older(alert_database, days=days)
        await retention.enforce(alert_database)
        assert await kept() == left

    await say(alert_database, FAILING)
    await retention.enforce(alert_database)
    assert await topics(alerts) == [FAILING.topic], "what fires is never deleted"


async def test_who_acknowledges_later_takes_over(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING)
    await alerts.acknowledge(FAILING.fingerprint, actor=ANN, note="mine")
    alert = await alerts.acknowledge(FAILING.fingerprint, actor="account:2")
    assert (alert.acknowledged_by, alert.note) == ("account:2", "")


async def test_many_acknowledge_at_once_and_one_of_them_has_it(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING)
    await asyncio.gather(*(alerts.acknowledge(FAILING.fingerprint, actor=f"account:{n}") for n in range(12)))
    (alert,) = await alerts.current()
    assert alert.acknowledged_by is not None
    assert len(await rows(alert_database, "SELECT 1 FROM alert_acknowledgements")) == 1
    assert len(await rows(alert_database, "SELECT 1 FROM audit_log")) == 12


async def test_what_does_not_fire_cannot_be_acknowledged(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING, WELL)
    for missing in ("0" * 16, "'; DROP TABLE notices; --", "ö", FAILING.fingerprint):
        with pytest.raises(NotFoundError):
            await alerts.acknowledge(missing, actor=ANN)
    for unusable in ("", "a\0", "x" * 201):
        with pytest.raises(InvalidInputError):
            await alerts.acknowledge(unusable, actor=ANN)
    assert await rows(alert_database, "SELECT 1 FROM audit_log") == []


async def test_a_note_that_is_no_text_is_refused(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING)
    for note in ("x" * 501, "a\0b", "a\u202eb", "\ud800"):
        with pytest.raises(InvalidInputError) as refused:
            await alerts.acknowledge(FAILING.fingerprint, actor=ANN, note=note)
        assert refused.value.field == "note"
    (alert,) = await alerts.current()
    assert alert.acknowledged_by is None


async def test_a_silence_matches_what_has_all_of_its_labels(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING, PARKED)
    soon = utc_now() + timedelta(hours=1)
    of_topic = await alerts.silence([Matcher("topic", FAILING.topic)], until=soon, actor=ANN, reason="known")
    of_both = await alerts.silence(
        [Matcher("job", "redis-health"), Matcher("topic", FAILING.topic)], until=soon, actor=ANN, reason="known"
    )
    await alerts.silence(
        [Matcher("job", "db-stats"), Matcher("topic", FAILING.topic)], until=soon, actor=ANN, reason="another job"
    )
    await alerts.silence([Matcher("nosuch", "label")], until=soon, actor=ANN, reason="nothing has it")
    failing, parked = await alerts.current()
    assert failing.silenced_by == (of_topic.id, of_both.id)
    assert parked.silenced_by == ()


async def test_a_silence_ends_by_itself_or_by_a_person(alerts: Alerts, alert_database: Database) -> None:
    await say(alert_database, FAILING)
    matchers = [Matcher("topic", FAILING.topic)]
    silence = await alerts.silence(matchers, until=utc_now() + timedelta(hours=1), actor=ANN, reason="  known ")
    assert (silence.reason, silence.matchers, silence.created_by) == ("known", tuple(matchers), ANN)
    assert await alerts.silences() == [silence]

    ended = await alerts.unsilence(silence.id, actor="account:2")
    assert ended.ends_at < silence.ends_at
    assert await alerts.silences() == []
    assert (await alerts.current())[0].silenced_by == ()
    with pytest.raises(NotFoundError):
        await alerts.unsilence(silence.id, actor=ANN)
    audit = await rows(alert_database, "SELECT actor, action, subject, after FROM audit_log ORDER BY id")
    assert [(row["actor"], row["action"]) for row in audit] == [
        (ANN, "alert.silenced"),
        ("account:2", "alert.unsilenced"),
    ]
    assert audit[0]["after"]["matchers"] == {"topic": FAILING.topic}

    over = await alerts.silence(matchers, until=utc_now() + timedelta(hours=1), actor=ANN, reason="known")
    async with alert_database.connection() as conn:
        await conn.execute(
            "UPDATE alert_silences SET starts_at = starts_at - interval '2h', ends_at = ends_at - interval '2h'"
            " WHERE id = %s",
            [over.id],
        )
    assert await alerts.silences() == []
    assert (await alerts.current())[0].silenced_by == ()


async def test_there_is_no_such_silence(alerts: Alerts) -> None:
    for silence_id in (0, -1, 99, 2**63, 10**30):
        with pytest.raises(NotFoundError):
            await alerts.unsilence(silence_id, actor=ANN)


UNUSABLE: tuple[tuple[list[Matcher], float, str, str], ...] = (
    ([], 1, "why", "matchers"),
    ([Matcher(f"label{n}", "x") for n in range(11)], 1, "why", "matchers"),
    ([Matcher("topic", "a"), Matcher("topic", "b")], 1, "why", "matchers"),
    ([Matcher("", "a")], 1, "why", "matchers"),
    ([Matcher("topic", "x" * 201)], 1, "why", "matchers"),
    ([Matcher("topic", "a\0")], 1, "why", "matchers"),
    ([Matcher("topic", "a")], 0, "why", "until"),
    ([Matcher("topic", "a")], -1, "why", "until"),
    ([Matcher("topic", "a")], 24 * 30 + 1, "why", "until"),
    ([Matcher("topic", "a")], 1, " \n", "reason"),
    ([Matcher("topic", "a")], 1, "x" * 501, "reason"),
)


async def test_a_silence_that_says_nothing_usable_is_refused(alerts: Alerts, alert_database: Database) -> None:
    for matchers, hours, reason, field in UNUSABLE:
        with pytest.raises(InvalidInputError) as refused:
            await alerts.silence(matchers, until=utc_now() + timedelta(hours=hours), actor=ANN, reason=reason)
        assert refused.value.field == field
    assert await rows(alert_database, "SELECT 1 FROM audit_log UNION ALL SELECT 1 FROM alert_silences") == []


async def test_an_end_without_a_time_zone_is_refused(alerts: Alerts) -> None:
    naive = (utc_now() + timedelta(hours=1)).replace(tzinfo=None)
    with pytest.raises(InvalidInputError, match="time zone"):
        await alerts.silence([Matcher("topic", "a")], until=naive, actor=ANN, reason="why")


async def test_a_resolve_that_commits_late_still_ends_the_acknowledgement(
    alerts: Alerts, alert_database: Database
) -> None:
    await say(alert_database, FAILING)
    async with alert_database.transaction() as conn:
        await notices.record(conn, WELL)
        await alerts.acknowledge(FAILING.fingerprint, actor=ANN)  # sees the alert firing still
    assert await alerts.current() == []
    await say(alert_database, FAILING)
    (alert,) = await alerts.current()
    assert alert.acknowledged_by is None
