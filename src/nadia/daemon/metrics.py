"""Figures of the daemon."""

from nadia.metrics import counter, gauge, histogram
from nadia.workflows.run_history import RunOutcome

_JOBS = ("health-check", "redis-health", "security-check", "perf-baseline")

HEARTBEAT = gauge("nadia_daemon_heartbeat_timestamp_seconds", "When this daemon last went round, seconds since 1970.")
ACTIVE = gauge("nadia_daemon_active", "Whether this daemon is the one that runs the schedule, 1 or 0.")
RUNS = counter(
    "nadia_daemon_runs_total",
    "Scheduled runs by how they ended.",
    {"job": _JOBS, "outcome": tuple(outcome.value for outcome in RunOutcome)},
)
RUN_SECONDS = histogram("nadia_daemon_run_seconds", "How long a scheduled run took, seconds.", {"job": _JOBS})
FAILURES = gauge(
    "nadia_daemon_job_failures", "Runs of a job in a row that gave no answer, by the active daemon.", {"job": _JOBS}
)
WAITING = gauge("nadia_daemon_outcomes_waiting", "Outcomes of runs that PostgreSQL has not got yet.")
TAKEOVERS = counter("nadia_daemon_elections_total", "How often this daemon became the active one.")
