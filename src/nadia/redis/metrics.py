"""Figures of the way to Redis."""

from nadia.metrics import histogram

ROUND_TRIP_SECONDS = histogram(
    "nadia_redis_round_trip_seconds",
    "Time until Redis answered commands that were sent at once; reading the stream, which waits, apart, seconds.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
