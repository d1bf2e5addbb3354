"""Where traces go."""

from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_SCHEMES: Final = ("http", "https")


class TracingSettings(BaseModel):
    """Section ``tracing``: where one trace per message goes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    endpoint: str | None = Field(
        None,
        description="OTLP collector that gets one trace per message, such as `http://localhost:4318`.",
    )
    headers: SecretStr | None = Field(
        None,
        description="Headers for the collector, such as `authorization=Bearer …`; several with commas between them.",
    )
    sample_ratio: float = Field(1.0, ge=0, le=1, description="Share of messages that are traced, from 0 to 1.")
    timeout_seconds: float = Field(
        5.0, gt=0, le=60, description="Longest that the collector may take to answer, seconds."
    )

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.username or parts.password:
            raise ValueError("an OTLP collector over HTTP is http://… or https://…; credentials go into the headers")
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            read_headers(value)
        return value


def read_headers(text: SecretStr) -> dict[str, str]:
    """Read headers as OpenTelemetry writes them: names and percent-encoded values with commas between.

    Raises
    ------
    ValueError
        If they cannot be read; it does not repeat them.
    """
    headers = {}
    for pair in filter(None, (part.strip() for part in text.get_secret_value().split(","))):
        name, separator, value = pair.partition("=")
        name, value = name.strip(), unquote(value.strip())
        if not separator or not name.isascii() or not name.replace("-", "").isalnum() or not value.isprintable():
            raise ValueError("headers are written as name=value, with commas between them")
        headers[name] = value
    return headers
