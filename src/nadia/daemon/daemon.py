"""`MCPHealthDaemon` (baseline 1.3): asks by itself whether all is well, remembers the answers, and says what is wrong.

One round after the other: keep or get the lease, take in what ended, begin what is due, hand over what PostgreSQL and
Redis have not got, and say that it lives. Rounds come at least every ten seconds and wait for no job.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.daemon import metrics
from nadia.daemon.answer import Answer, read_answer
from nadia.daemon.backlog import Backlog
from nadia.daemon.child import TERM_SECONDS, ChildEnd
from nadia.daemon.conditions import JOB_FAILING, Observation, observe
from nadia.daemon.election import Election, Standing
from nadia.daemon.job import HEALTH_CHECK, Job
from nadia.daemon.ledger import Begun, Condition, Refusal, RunLedger
from nadia.daemon.patience import answered
from nadia.daemon.schedule import Schedule, missed_between, slot_at
from nadia.errors import NadiaError, UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.leases import uptime
from nadia.settings.daemon import DaemonSettings
from nadia.workflows.run_history import RunHistory, RunOutcome, RunRecord
from nadia.workflows.schedule_state import ConditionState, DaemonState, JobState, LastRun, ScheduleState

log = structlog.get_logger(__name__)

BEAT_SECONDS: Final = 10.0
"""Longest time between two rounds."""

STALE_AFTER_SECONDS: Final = 60.0
"""A daemon silent for so long is taken for dead; a round with PostgreSQL frozen takes half of it."""

_INTERVALS_OF_SILENCE: Final = 3
"""Health checks in a row that may give no answer before this daemon vouches for nothing."""

_RECORDS_OF_SILENCE: Final = 10
"""Newest records that hold every health check of so many intervals, with what was missed or cut short between."""

_CLEANING: Final = timedelta(hours=1)

_CERTAINLY_ENDED_SECONDS: Final = TERM_SECONDS + 15.0
"""After its limit, a run is over wherever it was begun: see `child.py` and `guard.py`."""

_RECORDS_IN_MEMORY: Final = 250
"""What the whole history holds; more would push out what is kept here."""

RunJob = Callable[[Job], Awaitable[ChildEnd]]
"""Runs a job's process to its end; raises OSError if it cannot be started."""


@dataclass(frozen=True, slots=True)
class _Run:
    """A run under way."""

    job: Job
    due_at: datetime
    started_at: datetime
    began: float
    """Seconds by `uptime`: the clock may jump while it runs."""
    fencing_token: int | None
    elected: bool
    task: "asyncio.Task[Answer]"


class MCPHealthDaemon:
    """Runs the schedule while it is the active daemon.

    Parameters
    ----------
    name : str
        Of this process.
    schedule : Schedule
        What is due when.
    election : Election
        Whether this daemon is the active one.
    ledger : RunLedger
        What was begun, and what is wrong.
    backlog : Backlog
        Outcomes that the ledger has not got.
    history : RunHistory
        What the runs came to.
    state : ScheduleState
        Where this daemon says how it is.
    run_job : callable
        Runs a job's process.
    settings : DaemonSettings
        Bounds.
    clock : callable
        Returns the present.
    sleep : callable
        Waits some seconds.
    beat_seconds : float
        Longest time between two rounds.
    """

    def __init__(
        self,
        *,
        name: str,
        schedule: Schedule,
        election: Election,
        ledger: RunLedger,
        backlog: Backlog,
        history: RunHistory,
        state: ScheduleState,
        run_job: RunJob,
        settings: DaemonSettings,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        self._name = name
        self._schedule = schedule
        self._election = election
        self._ledger = ledger
        self._backlog = backlog
        self._history = history
        self._state = state
        self._run_job = run_job
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._beat_seconds = beat_seconds
        self._started_at = clock()
        self._settled_at = uptime() + settings.settle_seconds
        self._runs: dict[str, _Run] = {}
        self._waits_for: dict[str, str] = {}
        self._last: dict[str, RunRecord] = {}
        self._conditions: dict[str, Sequence[Condition]] = {}
        self._vouches_until = self._started_at
        check = next(job for job in schedule.jobs if job.name == HEALTH_CHECK)
        self._silence = _INTERVALS_OF_SILENCE * check.every + timedelta(seconds=STALE_AFTER_SECONDS)
        self._records: deque[tuple[RunRecord, int]] = deque(maxlen=_RECORDS_IN_MEMORY)
        self._token_seen: int | None = None
        self._cleaned: datetime | None = None
        self._file_again_at = uptime()
        self._redis_is_away = False
        self._has_published = False

    async def start(self) -> None:
        """Run the schedule until cancelled (baseline 1.3); jobs under way are ended then."""
        log.info("daemon.started", name=self._name, jobs=[job.name for job in self._schedule.jobs])
        try:
            while True:
                await self._go_round()
                await self._pause()
        finally:
            await self._stop()

    async def get_status(self) -> DaemonState:
        """Return how this daemon is (baseline 1.3)."""
        now = self._clock()
        lease = self._election.lease
        return DaemonState(
            by=self._name,
            started_at=self._started_at,
            beat_at=now,
            stale_after_seconds=STALE_AFTER_SECONDS,
            active=lease is not None,
            fencing_token=lease.fencing_token if lease is not None else None,
            vouches_until=self._vouches_until,
            outcomes_waiting=len(self._backlog),
            records_waiting=len(self._records),
            jobs=[self._job_state(job, now) for job in self._schedule.jobs],
            conditions=[
                ConditionState(
                    job=job.name,
                    topic=condition.topic,
                    subject=condition.subject,
                    times=condition.times,
                    told=condition.told,
                )
                for job in self._schedule.jobs
                for condition in self._conditions.get(job.name, ())
            ],
        )

    async def _go_round(self) -> None:
        standing = await self._election.stand()
        await self._remember_what_others_did()
        for run in [run for run in self._runs.values() if run.task.done()]:
            await self._conclude(run)
        await self._hand_over()
        now = self._clock()
        if uptime() >= self._settled_at:
            for job, due_at in self._schedule.due(now):
                await self._begin(job, due_at, now, standing)
        if self._election.lease is not None and slot_at(now, _CLEANING) != self._cleaned:
            self._cleaned = slot_at(now, _CLEANING)
            await self._cleanup_old_data()
        await self._beat(standing)

    async def _pause(self) -> None:
        """Wait until something is to be done: a run ended, another is due, or it is time to beat."""
        now = self._clock()
        ahead = [(self._schedule.next_at(job, now) - now).total_seconds() for job in self._schedule.jobs]
        # What is due already, and waits for something, is looked at with the next beat.
        seconds = min([self._beat_seconds, *(one for one in (*ahead, self._settled_at - uptime()) if one > 0)])
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait(
                {sleeping, *(run.task for run in self._runs.values())}, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            sleeping.cancel()

    async def _begin(self, job: Job, due_at: datetime, now: datetime, standing: Standing) -> None:
        """Begin a run that is due, if it may be begun here and now; otherwise remember why not."""
        if job.name in self._runs:
            self._waits_for[job.name] = Refusal.STILL_RUNNING.value
            return
        if standing is Standing.WAITING:
            return
        lease = self._election.lease
        token = lease.fencing_token if lease is not None else None
        elected = False
        if lease is not None:
            longest = timedelta(seconds=self._settings.job_timeout_seconds + _CERTAINLY_ENDED_SECONDS)
            try:
                begun = await answered(self._ledger.begin(lease, job, due_at, now=now, longest=longest))
            except NadiaError as exc:
                log.info("daemon.not_begun", job=job.name, reason=exc.message)
            else:
                if isinstance(begun, Refusal):
                    self._refused(job, due_at, begun)
                    return
                elected = True
                self._record_what_was_not_run(job, due_at, begun)
        if not elected and job.needs_election:
            self._waits_for[job.name] = "PostgreSQL was away"
            return
        self._waits_for.pop(job.name, None)
        self._schedule.begun(job, due_at)
        task = asyncio.create_task(self._run_mcp_command(job), name=f"daemon.job.{job.name}")
        self._runs[job.name] = _Run(job, due_at, now, uptime(), token, elected, task)
        log.info("daemon.job_begun", job=job.name, due_at=due_at.isoformat(), elected=elected)

    def _refused(self, job: Job, due_at: datetime, refusal: Refusal) -> None:
        if refusal is Refusal.LEASE_LOST:
            self._election.lose()
        elif refusal is Refusal.BEGUN_BEFORE:
            self._schedule.begun(job, due_at)
        else:
            self._waits_for[job.name] = refusal.value

    async def _run_mcp_command(self, job: Job) -> Answer:
        """Run a job's process, five minutes at most (baseline 1.3), and read its answer."""
        try:
            return read_answer(job, await self._run_job(job))
        except OSError as exc:
            return Answer(RunOutcome.FAILED, f"could not be started: {exc.strerror or type(exc).__name__}")

    async def _conclude(self, run: _Run) -> None:
        """Put on record what a run came to."""
        del self._runs[run.job.name]
        ended_at = self._clock()
        if run.task.cancelled():
            answer = Answer(RunOutcome.INTERRUPTED, "the daemon stopped while it ran")
        elif (problem := run.task.exception()) is not None:
            log.error("daemon.run_crashed", job=run.job.name, exc_info=problem)
            answer = Answer(RunOutcome.FAILED, f"the daemon could not run it ({type(problem).__name__})")
        else:
            answer = run.task.result()
        seconds = uptime() - run.began
        record = RunRecord(
            job=run.job.name,
            due_at=run.due_at,
            started_at=run.started_at,
            seconds=seconds,
            outcome=answer.outcome,
            status=answer.status,
            summary=answer.summary,
            by=self._name,
            elected=run.elected,
            report=answer.report,
        )
        metrics.RUN_SECONDS.labels(run.job.name).observe(seconds)
        self._record(run.job, record)
        if answer.outcome is RunOutcome.DONE and run.job.name == HEALTH_CHECK:
            self._vouches_until = ended_at + self._silence
        observation = self._analyze_health_result(run.job, record, fencing_token=run.fencing_token)
        if observation is not None:
            await self._check_alert_conditions(observation)
        elif run.fencing_token is not None:
            await self._finish(run.job, run.due_at, run.fencing_token)

    def _analyze_health_result(self, job: Job, record: RunRecord, *, fencing_token: int | None) -> Observation | None:
        """Return what a run's outcome says of what is watched for (baseline 1.3); None if it says nothing."""
        return observe(job, record, fencing_token=fencing_token, failures_to_alert=self._settings.failures_to_alert)

    async def _check_alert_conditions(self, observation: Observation) -> None:
        """Count an outcome, and write the notices that follow from it (baseline 1.3); keep it while PostgreSQL is away.

        What came before it is counted first.
        """
        if not len(self._backlog):
            try:
                await self._count(observation)
            except NadiaError as exc:
                log.warning("daemon.not_counted", job=observation.job, reason=exc.message)
            except BaseException:  # stopped meanwhile: it may have been counted, and twice does not matter
                self._backlog.add(observation)
                raise
            else:
                return
        self._backlog.add(observation)

    async def _count(self, observation: Observation) -> None:
        conditions = await answered(self._ledger.count(observation, now=self._clock()))
        self._know(observation.job, conditions)

    def _know(self, job: str, conditions: Sequence[Condition]) -> None:
        self._conditions[job] = conditions
        failures = next((one.times for one in conditions if one.topic == JOB_FAILING), 0)
        metrics.FAILURES.labels(job).set(failures)

    async def _finish(self, job: Job, due_at: datetime, fencing_token: int) -> None:
        try:
            await answered(self._ledger.finish(job.name, due_at, fencing_token=fencing_token), within=1.0)
        except NadiaError as exc:  # a successor waits until it has certainly ended
            log.info("daemon.not_finished", job=job.name, reason=exc.message)

    def _record_what_was_not_run(self, job: Job, due_at: datetime, begun: Begun) -> None:
        if begun.cut_off is not None:
            reason = "the daemon that ran it ended before it did"
            self._record(job, self._not_run(job, begun.cut_off, RunOutcome.INTERRUPTED, reason))
        if begun.accounted_for is None:
            return
        if missed := missed_between(begun.accounted_for, due_at, job.every):
            reason = self._waits_for.get(job.name, "no daemon was active")
            first = begun.accounted_for + job.every
            self._record(job, self._not_run(job, first, RunOutcome.MISSED, reason, count=missed))

    def _not_run(self, job: Job, due_at: datetime, outcome: RunOutcome, reason: str, *, count: int = 1) -> RunRecord:
        return RunRecord(
            job=job.name,
            due_at=due_at,
            started_at=None,
            seconds=None,
            outcome=outcome,
            status=HealthStatus.UNKNOWN,
            summary=reason,
            by=self._name,
            count=count,
        )

    def _record(self, job: Job, record: RunRecord) -> None:
        metrics.RUNS.labels(job.name, record.outcome.value).inc(record.count)
        tell = log.info if record.outcome is RunOutcome.DONE else log.warning
        tell(
            "daemon.job_ended",
            job=job.name,
            outcome=record.outcome.value,
            status=record.status.value,
            summary=record.summary,
            seconds=record.seconds,
            count=record.count,
        )
        self._last[job.name] = record.model_copy(update={"report": None})
        self._records.append((record, job.keep))

    async def _hand_over(self) -> None:
        """Give PostgreSQL and Redis what they have not got yet."""
        if self._election.lease is not None or not self._election.is_away:
            try:
                await self._backlog.hand_over(self._count)
            except NadiaError as exc:
                log.info("daemon.backlog_waits", outcomes=len(self._backlog), reason=exc.message)
        while self._records:
            record, keep = self._records[0]
            try:
                await self._history.add(record, keep=keep)
            except UnavailableError as exc:
                self._say_of_redis(exc)
                return
            self._records.popleft()

    async def _remember_what_others_did(self) -> None:
        """Take up where another daemon left off, once after each election."""
        lease = self._election.lease
        if lease is None or lease.fencing_token == self._token_seen:
            return
        try:
            for job in self._schedule.jobs:
                self._know(job.name, await answered(self._ledger.conditions(job.name)))
        except NadiaError as exc:
            log.info("daemon.conditions_unknown", reason=exc.message)
            return
        self._token_seen = lease.fencing_token
        try:
            self._vouches_until = max(self._vouches_until, await self._vouched_until())
            for job in self._schedule.jobs:
                for record in await self._history.last(job.name, limit=1):
                    self._last[job.name] = record.model_copy(update={"report": None})
        except UnavailableError as exc:
            self._say_of_redis(exc)

    async def _vouched_until(self) -> datetime:
        """Return how long the answers before this election last: no election is an answer, however many there are.

        Only where nobody ever looked does the first daemon have time for its first answer.
        """
        now, records = self._clock(), list[RunRecord]()
        former = await self._state.read()
        try:
            records = await self._history.last(HEALTH_CHECK, limit=_RECORDS_OF_SILENCE)
        except UnavailableError as exc:
            self._say_of_redis(exc)
        if former is None and not records:
            return now + self._silence
        known = [
            record.started_at + timedelta(seconds=record.seconds) + self._silence
            for record in records
            if record.outcome is RunOutcome.DONE and record.started_at is not None and record.seconds is not None
        ]
        if former is not None:
            known.append(former.vouches_until)
        # What lies further ahead was said by a clock that was wrong.
        return max((until for until in known if until <= now + self._silence), default=now)

    async def _cleanup_old_data(self) -> None:
        """Drop records past their age (baseline 1.3)."""
        before = self._clock() - timedelta(days=self._settings.history_days)
        try:
            for job in self._schedule.jobs:
                await self._history.forget(job.name, before=before)
        except UnavailableError as exc:
            self._say_of_redis(exc)

    async def _beat(self, standing: Standing) -> None:
        """Say that this daemon lives: a metric always, where others read it unless another daemon does."""
        metrics.HEARTBEAT.set(self._clock().timestamp())
        if standing is Standing.WAITING:
            return
        state = await self.get_status()
        if uptime() >= self._file_again_at:
            # No oftener than a beat: replacing a file costs more than all the rest of a round.
            self._file_again_at = uptime() + self._beat_seconds / 2
            try:
                self._state.write_file(state)
            except OSError as exc:
                log.warning("daemon.heartbeat_not_written", reason=exc.strerror)
        try:
            was_there = await self._state.publish(state)
        except UnavailableError as exc:
            self._say_of_redis(exc)
            return
        if self._redis_is_away:
            log.info("daemon.redis_back", records_waiting=len(self._records))
        elif self._has_published and not was_there:
            log.warning("daemon.history_emptied", hint="Redis was emptied; the history fills again")
        self._redis_is_away, self._has_published = False, True

    def _say_of_redis(self, exc: UnavailableError) -> None:
        if not self._redis_is_away:
            log.warning("daemon.redis_away", reason=exc.message)
        self._redis_is_away = True

    def _job_state(self, job: Job, now: datetime) -> JobState:
        run, last = self._runs.get(job.name), self._last.get(job.name)
        return JobState(
            name=job.name,
            every_seconds=job.every.total_seconds(),
            next_at=self._schedule.next_at(job, now),
            running_since=run.started_at if run is not None else None,
            waits_for=self._waits_for.get(job.name),
            last=LastRun.model_validate(last.model_dump(include=set(LastRun.model_fields))) if last else None,
        )

    async def _stop(self) -> None:
        """End what runs, put it on record as interrupted, and let another daemon take over at once."""
        runs = list(self._runs.values())
        for run in runs:
            run.task.cancel()
        # First, for this may be cut short too. Whoever takes over begins no job anew before its run has ended.
        await self._election.resign()
        try:
            await asyncio.gather(*(run.task for run in runs), return_exceptions=True)
        finally:
            for run in runs:
                await self._conclude(run)
            await self._hand_over()
        log.info("daemon.stopped", name=self._name)
