"""Is Redis well, and what fills it?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, Final

from pydantic import Field

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.health.wal_reading import WalReader, WalReading
from nadia.redis.connection import RedisConnection
from nadia.workflows.redis_readings import KeyFamily, KeySample, RedisServer, read_servers, sample_keys
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.workflow import Arguments, Effect, Inquiry

DOCS: Final = "docs/guides/workflows.md#redis-health"

_FULL: Final = (0.80, 0.90)
"""Shares of maxmemory from which it is a warning, and critical: with noeviction a full Redis refuses writes."""

_FRAGMENTED: Final = 1.5
"""Resident by used memory; redis.io/docs, INFO: above 1.5 is a reason to look."""

_WORTH_LOOKING_BYTES: Final = 100_000_000
"""Below that, the ratio says more of what every process needs than of fragmentation."""

_CLIENTS_SHARE: Final = 0.8
_SLOW_SECONDS: Final = 0.05
"""Of one round trip: many are made for each message."""

_SLOW_COMMANDS: Final = 10
_LATELY: Final = timedelta(hours=1)
_STUCK_SECONDS: Final = 300.0
_LISTED: Final = 5


class RedisHealthArguments(Arguments):
    """How closely to look."""

    keys: int = Field(20_000, ge=0, le=1_000_000, description="Most keys to weigh; 0 weighs none.")


class RedisHealth:
    """Looks at Redis from all sides.

    Parameters
    ----------
    redis : RedisConnection
        Where it is.
    megabytes : float
        Memory above which there is a warning, 10^6 bytes (baseline 1.1: 200).
    waiting : int
        Entries of the stream of sealed batches above which there is a warning (baseline 1.1: 100).
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "redis-health"
    question: ClassVar[str] = "Is Redis well, and what fills it?"
    arguments: ClassVar[type[Arguments]] = RedisHealthArguments
    role: ClassVar[Role] = Role.VIEWER

    def __init__(self, *, redis: RedisConnection, megabytes: float, waiting: int, clock: Clock = utc_now) -> None:
        self._redis = redis
        self._limit_bytes = megabytes * 1_000_000
        self._waiting = waiting
        self._clock = clock

    def effect(self, arguments: RedisHealthArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: RedisHealthArguments) -> WorkflowReport:
        """Ask every server; that Redis is away is an answer too."""
        inquiry = Inquiry(self, clock=self._clock)
        try:
            servers = await read_servers(self._redis)
            wal = await WalReader(redis=self._redis, stuck_seconds=_STUCK_SECONDS).read()
            sample = await sample_keys(self._redis, limit=arguments.keys)
        except UnavailableError as exc:
            away = WorkflowFinding(
                status=HealthStatus.CRITICAL, subject="Redis", message=exc.message, remedy=exc.hint, docs=DOCS
            )
            return inquiry.report(
                f"{exc.message}; without it messages are taken in and replies sent, only later",
                findings=[away],
                unreachable=["Redis"],
            )
        findings = [*self._judge_together(servers, wal, sample)]
        for server in servers:
            findings += _judge(server)
            findings += self._judge_speed(server)
        return inquiry.report(
            self._answer(servers, wal, findings),
            findings=findings,
            tables=[
                _server_table(servers),
                _wal_table(wal),
                *_key_tables(sample, wanted=arguments.keys),
                *_slow_table(servers),
            ],
        )

    def _judge_together(
        self, servers: Sequence[RedisServer], wal: WalReading, sample: KeySample | None
    ) -> Iterator[WorkflowFinding]:
        used = sum(server.number("used_memory") for server in servers)
        if used > self._limit_bytes:
            yield _warning(
                "memory",
                f"{used / 1e6:.0f} MB are used, more than the {self._limit_bytes / 1e6:.0f} MB that are usual",
                "the table of keys says what grew; NADIA_HEALTH_REDIS_MEMORY_MEGABYTES moves the bound",
            )
        if not wal.has_group and wal.entries:
            yield _warning(
                "wal",
                f"{_count(wal.entries, 'batch', 'batches')} wait for a draft, and no worker has ever asked for one",
                "is a worker running? `nadia run worker`, or `nadia up` for everything",
            )
        elif wal.entries > self._waiting:
            yield _warning(
                "wal",
                f"{wal.entries} batches wait for a draft, more than {self._waiting}",
                "are the workers running, and does the model answer? `nadia health` says",
            )
        if wal.stuck:
            yield _warning(
                "wal",
                f"{_count(wal.stuck, 'batch is', 'batches are')} with a worker that has not touched it "
                f"for up to {wal.idle_seconds / 60:.0f} min",
                "another worker takes it over once its lease has ended: is there one?",
            )
        memories = sample.families.get("memory") if sample else None
        if memories and memories.lasting:
            yield _warning(
                "keys",
                f"{_count(memories.lasting, 'memory', 'memories')} of conversations would never expire",
                "somebody wrote or persisted keys by hand; delete them, NADIA rebuilds them from PostgreSQL",
            )

    def _judge_speed(self, server: RedisServer) -> Iterator[WorkflowFinding]:
        if server.latency_seconds > _SLOW_SECONDS:
            yield _warning(
                server.name,
                f"an answer took {server.latency_seconds * 1000:.0f} ms",
                "is the machine or the network busy? every message needs several answers",
            )
        lately = [entry for entry in server.slow or () if entry.at > self._clock() - _LATELY]
        if len(lately) >= _SLOW_COMMANDS:
            slowest = max(lately, key=lambda entry: entry.seconds)
            yield _warning(
                server.name,
                f"{len(lately)} slow commands within an hour, the slowest {slowest.command} "
                f"with {slowest.seconds * 1000:.0f} ms",
                "see the table of slow commands; a busy machine and huge keys are the usual causes",
            )

    def _answer(self, servers: Sequence[RedisServer], wal: WalReading, findings: Sequence[WorkflowFinding]) -> str:
        used = sum(server.number("used_memory") for server in servers)
        state = f"needs a look: {_count(len(findings), 'finding', 'findings')}" if findings else "is well"
        return (
            f"Redis {state}; it uses {used / 1e6:.1f} of {self._limit_bytes / 1e6:.0f} MB, "
            f"and {_count(wal.entries, 'batch waits', 'batches wait')} for a draft"
        )


def _judge(server: RedisServer) -> Iterator[WorkflowFinding]:
    """Judge what concerns one server."""
    yield from _judge_memory(server)
    yield from _judge_persistence(server)
    yield from _judge_replication(server)
    clients, most = server.number("connected_clients"), server.number("maxclients")
    if most and clients > _CLIENTS_SHARE * most:
        yield _warning(
            server.name,
            f"{clients:.0f} of at most {most:.0f} clients are connected",
            "find who connects so often with CLIENT LIST, or raise maxclients",
        )
    if refused := server.number("rejected_connections"):
        yield _warning(
            server.name, f"{_count(int(refused), 'client was', 'clients were')} turned away since it started",
            "raise maxclients, or find who connects so often with CLIENT LIST",
        )  # fmt: skip


def _judge_memory(server: RedisServer) -> Iterator[WorkflowFinding]:
    policy, evicted = str(server.info.get("maxmemory_policy") or ""), int(server.number("evicted_keys"))
    if policy and policy != "noeviction":
        # What it drops is rebuilt within a minute, and until then nobody knows that it is missing.
        yield WorkflowFinding(
            status=HealthStatus.CRITICAL if evicted else HealthStatus.WARNING,
            subject=server.name,
            message=f"its policy is {policy}: when it is full it drops keys that NADIA counts on"
            + (f", {evicted} since it started" if evicted else ""),
            remedy="CONFIG SET maxmemory-policy noeviction, and the same in its configuration file",
            docs=DOCS,
        )
    used, most = server.number("used_memory"), server.number("maxmemory")
    share = used / most if most else 0.0
    if share >= _FULL[0]:
        yield WorkflowFinding(
            status=HealthStatus.CRITICAL if share >= _FULL[1] else HealthStatus.WARNING,
            subject=server.name,
            message=f"{share:.0%} of its memory limit of {most / 1e6:.0f} MB is used; full, it refuses writes",
            remedy="raise maxmemory, or see in the table of keys what grew",
            docs=DOCS,
        )
    ratio = server.number("mem_fragmentation_ratio")
    if used > _WORTH_LOOKING_BYTES and ratio > _FRAGMENTED:
        yield _warning(
            server.name,
            f"its process takes {ratio:.1f} times the memory that its keys need (fragmentation)",
            "CONFIG SET activedefrag yes, or restart it in a quiet hour",
        )
    if used > _WORTH_LOOKING_BYTES and 0 < ratio < 0.9:
        yield _warning(
            server.name,
            "part of its memory seems to be swapped out",
            "give the machine more memory, or let Redis have less: swapped, it is a hundred times slower",
        )


def _judge_persistence(server: RedisServer) -> Iterator[WorkflowFinding]:
    if server.number("loading"):
        yield _warning(server.name, "it is still loading its data", "wait: it answers when it is done")
    if not server.number("aof_enabled"):
        yield _warning(
            server.name,
            "it keeps no append-only file: a restart empties it, and pacing starts over from PostgreSQL",
            "CONFIG SET appendonly yes, and the same in its configuration file",
        )
    for name, what in (
        ("aof_last_write_status", "writing its append-only file failed: it refuses writes until that works"),
        ("aof_last_bgrewrite_status", "rewriting its append-only file failed: the file grows without end"),
        ("rdb_last_bgsave_status", "its last snapshot failed"),
    ):
        if server.info.get(name, "ok") != "ok":
            yield WorkflowFinding(
                status=HealthStatus.CRITICAL,
                subject=server.name,
                message=what,
                remedy="is its disk full, or its folder not writable? its log says",
                docs=DOCS,
            )


def _judge_replication(server: RedisServer) -> Iterator[WorkflowFinding]:
    if server.info.get("role") == "slave":
        yield WorkflowFinding(
            status=HealthStatus.CRITICAL,
            subject=server.name,
            message="REDIS_URL leads to a replica, which refuses writes",
            remedy="name the primary, or with Sentinel set NADIA_REDIS_MODE=sentinel",
            docs=DOCS,
        )
    for replica in _replicas(server):
        if replica.get("state") != "online":
            yield _warning(
                server.name, f"a replica is not in step ({replica.get('state')})", "see that replica's log"
            )  # fmt: skip
    if server.cluster and server.cluster.get("cluster_state") != "ok":
        yield WorkflowFinding(
            status=HealthStatus.CRITICAL,
            subject=server.name,
            message=f"the cluster is {server.cluster.get('cluster_state')}: part of its slots has no server",
            remedy="`redis-cli --cluster check` names them; start the missing server, or let a replica take over",
            docs=DOCS,
        )


def _replicas(server: RedisServer) -> list[dict[str, object]]:
    count = int(server.number("connected_slaves"))
    return [found for number in range(count) if isinstance(found := server.info.get(f"slave{number}"), dict)]


def _server_table(servers: Sequence[RedisServer]) -> ReportTable:
    """Return what each server says, a column each: there are few servers and many figures."""

    def persistence(server: RedisServer) -> str:
        kept = "append-only file" if server.number("aof_enabled") else "no append-only file"
        failed = [name for name in ("aof_last_write_status", "rdb_last_bgsave_status") if server.info.get(name) != "ok"]
        return f"{kept}, {'the last write failed' if failed else 'no errors'}"

    def memory(server: RedisServer) -> str:
        used, most = server.number("used_memory") / 1e6, server.number("maxmemory") / 1e6
        peak = server.number("used_memory_peak") / 1e6
        return f"{used:.1f} MB of {f'{most:.0f} MB' if most else 'no limit'}, {peak:.1f} MB at most"

    def resident(server: RedisServer) -> str:
        return f"{server.number('used_memory_rss') / 1e6:.1f} MB ({server.number('mem_fragmentation_ratio'):.1f} times)"

    def evictions(server: RedisServer) -> str:
        return f"{server.number('evicted_keys'):.0f} ({server.info.get('maxmemory_policy') or 'policy unknown'})"

    def clients(server: RedisServer) -> str:
        most, blocked = server.number("maxclients"), server.number("blocked_clients")
        return f"{server.number('connected_clients'):.0f} of {most:.0f}, {blocked:.0f} waiting on a stream"

    rows: Mapping[str, Callable[[RedisServer], str]] = {
        "version": lambda server: f"{server.info.get('redis_version')}, {server.info.get('redis_mode')}",
        "up for": lambda server: f"{server.number('uptime_in_seconds') / 3600:.1f} h",
        "memory": memory,
        "its process": resident,
        "evicted": evictions,
        "persistence": persistence,
        "clients": clients,
        "commands": lambda server: f"{server.number('instantaneous_ops_per_sec'):.0f}/s",
        "an answer": lambda server: f"{server.latency_seconds * 1000:.1f} ms",
        "replicas": lambda server: f"{len(_replicas(server))}, role {server.info.get('role')}",
    }
    return ReportTable(
        title="servers",
        columns=["figure", *(server.name for server in servers)],
        rows=[[name, *(shown(server) for server in servers)] for name, shown in rows.items()],
    )


def _wal_table(wal: WalReading) -> ReportTable:
    return ReportTable(
        title="batches that wait for a draft",
        columns=["not taken yet", "with a worker", "stuck there"],
        rows=[[wal.entries - wal.pending, wal.pending, wal.stuck]],
    )


def _key_tables(sample: KeySample | None, *, wanted: int) -> Iterator[ReportTable]:
    if sample is None or not wanted:
        reason = "this user may not weigh keys (MEMORY USAGE)" if wanted else None
        yield ReportTable(title="keys", columns=["family"], rows=[], note=reason)
        return
    note = None
    if sample.looked_at < sample.total:
        note = f"{sample.looked_at} of {sample.total} keys were weighed; --keys weighs more"
    yield ReportTable(
        title="keys by family",
        columns=["family", "keys", "memory (bytes)", "largest (bytes)", "without expiry"],
        rows=[
            [name, family.keys, family.size_bytes, family.largest_bytes, family.lasting]
            for name, family in sorted(sample.families.items(), key=lambda item: -item[1].size_bytes)
        ],
        note=note,
    )
    if sample.partitions:
        biggest = sorted(sample.partitions.items(), key=lambda item: -item[1].size_bytes)
        yield ReportTable(
            title="biggest partitions",
            columns=["partition", "keys", "memory (bytes)", "largest (bytes)"],
            rows=[_partition_row(number, family) for number, family in biggest[:_LISTED]],
            note=f"{len(biggest)} partitions hold keys" if len(biggest) > _LISTED else None,
        )


def _partition_row(number: int, family: KeyFamily) -> list[str | int | float | bool | None]:
    return [number, family.keys, family.size_bytes, family.largest_bytes]


def _slow_table(servers: Sequence[RedisServer]) -> Iterator[ReportTable]:
    entries = [(server.name, entry) for server in servers for entry in server.slow or ()]
    if not entries:
        return
    entries.sort(key=lambda item: -item[1].seconds)
    yield ReportTable(
        title="slowest commands in the slow log",
        columns=["at", "server", "command", "family", "took (seconds)"],
        rows=[
            [entry.at.isoformat(timespec="seconds"), name, entry.command, entry.family, entry.seconds]
            for name, entry in entries[:_LISTED]
        ],
        note=f"{len(entries)} in the log" if len(entries) > _LISTED else None,
    )


def _warning(subject: str, message: str, remedy: str) -> WorkflowFinding:
    return WorkflowFinding(status=HealthStatus.WARNING, subject=subject, message=message, remedy=remedy, docs=DOCS)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
