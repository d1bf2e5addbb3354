"""The daemon's schedule (baseline 1.3); the section is here because the daemon is above the settings."""

from pydantic import BaseModel, ConfigDict, Field


class DaemonSettings(BaseModel):
    """Section ``daemon``: when the daemon runs what."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    enabled: bool = Field(True, description="Whether `nadia up` runs the daemon too.")
    health_seconds: float = Field(300.0, ge=10, description="Time between health checks, seconds.")
    redis_seconds: float = Field(600.0, ge=10, description="Time between looks at Redis, seconds.")
    security_seconds: float = Field(14_400.0, ge=60, description="Time between security scans, seconds.")
    performance_seconds: float = Field(43_200.0, ge=60, description="Time between measurements of speed, seconds.")
    jitter_seconds: float = Field(
        15.0, ge=0, le=300, description="Most by which a run is put off, so that many installations do not run at once."
    )
    job_timeout_seconds: float = Field(300.0, gt=0, description="Longest that one run may take, seconds.")
    failures_to_alert: int = Field(3, ge=1, description="Failed runs in a row after which there is an alert.")
    settle_seconds: float = Field(
        20.0, ge=0, le=600, description="Time from a daemon's start to its first run, seconds: a start is not judged."
    )
    lease_seconds: float = Field(30.0, gt=2, description="How long a daemon stays active without a sign, seconds.")
    lease_grace_seconds: float = Field(
        5.0, ge=0, description="How much longer another waits before it takes over, seconds."
    )
    history_days: float = Field(30.0, gt=0, description="Age at which a run's record is dropped, days.")
