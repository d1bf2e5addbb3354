"""Adding a process's figures to everybody's: each thing once, whatever happens to Redis or to an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
from prometheus_client import CollectorRegistry

from nadia.clock import Clock, utc_now
from nadia.health.counting import Increases, gauges
from nadia.health.figures import BUCKET_SECONDS, GAUGES_LIVE_SECONDS, KEPT_GAUGES, LEFT_OUT, RETENTION, bucket_at
from nadia.health.series import HIGHEST, SUM, Series
from nadia.metrics import REGISTRY
from nadia.redis import keys
from nadia.redis.commands import Command, RunsScripts, Script

log = structlog.get_logger(__name__)

MOST_SERIES: Final = 2_000
"""In one stretch; a day of full ones takes as much memory as docs/operations/metrics-and-traces.md says."""

MOST_UNSENT: Final = 24
"""Stretches that a process keeps while Redis is away: two hours. A day of them took 32 MB of each process."""


@dataclass(slots=True)
class _Unsent:
    """What was counted in one stretch and is not known to be kept yet."""

    number: int
    bucket: int
    increases: dict[Series, float] = field(default_factory=dict)

    def add(self, increases: Mapping[Series, float]) -> None:
        for series, value in increases.items():
            self.increases[series] = self.increases.get(series, 0.0) + value


# Adds one process's increases to a stretch: once, however often it is asked to. An answer that got lost leaves open
# whether they were added; the process asks again with the same number, and its last number stands beside the figures.
# Beyond the cap nothing new is let in, and it is counted how much was not. What is in already goes on, a histogram with
# all its ranges: without the slow ones, it would tell of fast answers only. Its sum stands for it, from the first on.
# ARGV: the process's mark, number, seconds to live, cap, name of what is left out; then, in turn, what a series is let
# in with, the series and its increase.
_ADD: Final = Script("""
local last = redis.call('HGET', KEYS[1], ARGV[1])
if last and tonumber(last) >= tonumber(ARGV[2]) then
    return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local left_out = 0
for i = 6, #ARGV, 3 do
    local whole, series, increase = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if redis.call('HEXISTS', KEYS[1], whole) == 1 or redis.call('HLEN', KEYS[1]) < tonumber(ARGV[4]) then
        redis.call('HSETNX', KEYS[1], whole, 0)
        redis.call('HINCRBYFLOAT', KEYS[1], series, increase)
    else
        left_out = left_out + 1
    end
end
if left_out > 0 then
    redis.call('HINCRBYFLOAT', KEYS[1], ARGV[5], left_out)
end
return left_out
""")

# Keeps the highest value of each series in a stretch. ARGV: seconds to live, then series and value in turn.
_RAISE: Final = Script("""
for i = 2, #ARGV, 2 do
    local kept = redis.call('HGET', KEYS[1], ARGV[i])
    if not kept or tonumber(kept) < tonumber(ARGV[i + 1]) then
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
""")

# Puts a process's gauges in the place of its former ones. ARGV: seconds to live, then series and value in turn.
_SHOW: Final = Script("""
redis.call('DEL', KEYS[1])
for i = 2, #ARGV, 2 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
""")


class FigureRecorder:
    """Records what this process counts from now on.

    Parameters
    ----------
    redis : RunsScripts
        Where figures are kept.
    process : str
        Names this process, as no other before or after it is named.
    clock : callable
        Returns the present.
    registry : CollectorRegistry
        Where this process counts.
    """

    def __init__(
        self,
        *,
        redis: RunsScripts,
        process: str,
        clock: Clock = utc_now,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._redis = redis
        self._process = process
        self._clock = clock
        self._registry = registry
        self._increases = Increases(registry)
        self._unsent: list[_Unsent] = []
        self._number = 0
        self._was_full = False
        self._has_dropped = False

    async def record(self) -> None:
        """Add what this process counted since the last call.

        Raises
        ------
        UnavailableError
            If Redis is away. The next call adds it then, to the stretch in which it was counted; of a long outage,
            what was counted in the last two hours.
        """
        self._take()
        # In their order: only the oldest is ever tried twice, and nothing is added to it any more.
        while self._unsent:
            await self._send(self._unsent[0])
            del self._unsent[0]
        self._has_dropped = False
        await self._show_gauges()

    def _take(self) -> None:
        now = self._clock()
        bucket, increases = bucket_at(now), self._increases.take()
        if not increases:
            return
        untried = self._unsent[1:]  # the first may have reached Redis already
        if not untried or untried[-1].bucket != bucket:
            self._number += 1
            self._unsent.append(_Unsent(number=self._number, bucket=bucket))
        self._unsent[-1].add(increases)
        if len(self._unsent) > MOST_UNSENT:
            del self._unsent[0]
            if not self._has_dropped:
                log.warning("figures.dropped", kept_seconds=MOST_UNSENT * BUCKET_SECONDS)
            self._has_dropped = True

    async def _send(self, unsent: _Unsent) -> None:
        words: list[str | float] = []
        for series, increase in unsent.increases.items():
            whole = replace(series, part=SUM) if series.part else series
            words += (whole.text, series.text, increase)
        left_out = await self._redis.run(
            _ADD,
            keys=[keys.figures_of(unsent.bucket)],
            args=[
                f"by:{self._process}",
                unsent.number,
                int(RETENTION.total_seconds()) + BUCKET_SECONDS,
                MOST_SERIES,
                LEFT_OUT.text,
                *words,
            ],
        )
        if left_out and not self._was_full:
            log.warning("figures.full", left_out=left_out, most=MOST_SERIES)
        self._was_full = bool(left_out)

    async def _show_gauges(self) -> None:
        words: list[str | float] = []
        highest: list[str | float] = []
        for series, value in gauges(self._registry).items():
            words += (series.text, value)
            if series.name in KEPT_GAUGES:
                highest += (replace(series, part=HIGHEST).text, value)
        moment = self._clock()
        now = moment.timestamp()
        await self._redis.send(
            [
                _RAISE.call(
                    keys=[keys.figures_of(bucket_at(moment))],
                    args=[int(RETENTION.total_seconds()) + BUCKET_SECONDS, *highest],
                ),
                _SHOW.call(keys=[keys.gauges_of(self._process)], args=[GAUGES_LIVE_SECONDS, *words]),
                Command(("ZADD", keys.GAUGE_PROCESSES, now, self._process)),
                Command(("ZREMRANGEBYSCORE", keys.GAUGE_PROCESSES, "-inf", now - GAUGES_LIVE_SECONDS)),
                Command(("EXPIRE", keys.GAUGE_PROCESSES, GAUGES_LIVE_SECONDS)),
            ]
        )
