"""Where traces go, as it may be written."""

import pytest
from pydantic import SecretStr, ValidationError

from nadia.tracing.config import TracingSettings, read_headers


@pytest.mark.parametrize("endpoint", ["http://localhost:4318", "https://otel.example.org/v1/traces"])
def test_a_collector_is_reached_over_http(endpoint: str) -> None:
    assert TracingSettings(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://host:4317", "http://", "http://u:hunter2@host", ""])
def test_what_is_no_collector_is_refused(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="OTLP collector over HTTP"):
        TracingSettings(endpoint=endpoint)


def test_headers_are_read_as_opentelemetry_writes_them_and_shown_nowhere() -> None:
    settings = TracingSettings(headers=SecretStr("authorization=Bearer%20hunter2, x-team = desk ,"))
    assert settings.headers is not None
    assert read_headers(settings.headers) == {"authorization": "Bearer hunter2", "x-team": "desk"}
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("text", ["hunter2", "a b=hunter2", "é=hunter2", "x=hunter2%0d%0aEvil: 1"])
def test_headers_that_cannot_be_read_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TracingSettings(headers=SecretStr(text))
    assert "name=value" in str(refused.value)
    assert "hunter2" not in str(refused.value)
