"""When each part counts as well (baseline 1.1)."""

from pydantic import BaseModel, ConfigDict, Field


class HealthSettings(BaseModel):
    """Section ``health``: thresholds of `HealthChecker`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    probe_timeout_seconds: float = Field(
        2.0, gt=0, le=30, description="Longest that one probe of a health check may take, seconds."
    )
    redis_memory_megabytes: float = Field(
        200.0, gt=0, description="Memory of Redis above which there is a warning, megabytes (10^6 bytes)."
    )
    wal_entries: int = Field(100, ge=1, description="Batches waiting for a draft above which there is a warning.")
    wal_oldest_seconds: float = Field(
        300.0, gt=0, description="Age of the oldest batch waiting for a draft above which there is a warning, seconds."
    )
    review_items: int = Field(50, ge=1, description="Items waiting for a person above which there is a warning.")
    review_oldest_seconds: float = Field(
        3600.0, gt=0, description="Age of the oldest item waiting for a person above which there is a warning, seconds."
    )
    outbox_oldest_seconds: float = Field(
        300.0, gt=0, description="Age of the oldest approved reply not sent above which there is a warning, seconds."
    )
    quarantine_left_hours: float = Field(
        24.0, ge=0, description="Hours before the end of a message held in quarantine from which there is a warning."
    )
    memory_sample: int = Field(
        20, ge=1, le=500, description="Conversations whose memory in Redis is compared with PostgreSQL in a check."
    )
    postgres_connections_percent: float = Field(
        80.0, gt=0, le=100, description="Share of PostgreSQL's connections in use above which there is a warning, %."
    )
    postgres_replication_lag_seconds: float = Field(
        30.0, gt=0, description="Lag of a replica above which there is a warning, seconds."
    )
    postgres_transaction_seconds: float = Field(
        60.0, gt=0, description="Age of a transaction above which there is a warning, seconds."
    )
    model_error_rate: float = Field(
        0.05, gt=0, le=1, description="Share of failed calls of a model, of one, above which there is a warning."
    )
    cache_hit_percent: float = Field(
        80.0, ge=0, le=100, description="Share of look-ups that a cache answers below which there is a warning, %."
    )
    cpu_percent: float = Field(80.0, gt=0, le=100, description="CPU load above which there is a warning, %.")
    memory_percent: float = Field(85.0, gt=0, le=100, description="Memory in use above which there is a warning, %.")
    disk_percent: float = Field(90.0, gt=0, le=100, description="Disk in use above which there is a warning, %.")
    clock_skew_seconds: float = Field(
        1.0, gt=0, description="Difference of this machine's clock and PostgreSQL's above which there is a warning."
    )
    expiry_days: float = Field(
        14.0, gt=0, description="Days before a certificate's or token's end from which there is a warning."
    )
