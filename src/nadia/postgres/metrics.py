"""Figures of the way to PostgreSQL."""

from nadia.metrics import gauge, histogram

STATEMENT_SECONDS = histogram(
    "nadia_postgres_statement_seconds",
    "Time until a statement was answered, by its verb and first table; `commit` is the end of a transaction, seconds.",
    ("statement",),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0),
)
POOL_WAIT_SECONDS = histogram(
    "nadia_postgres_pool_wait_seconds",
    "Time that a piece of work waited for a connection of the pool, seconds.",
    buckets=(0.0001, 0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 3.0),
)
POOL_IN_USE = gauge(
    "nadia_postgres_pool_connections_in_use", "Connections to PostgreSQL that this process works with at the moment."
)
POOL_SIZE = gauge("nadia_postgres_pool_connections_limit", "Most connections to PostgreSQL that this process holds.")
