"""What drivers say of a connection string that they cannot read tells nobody its password."""

import io
import logging
from collections.abc import Iterator

import pytest

from nadia.logs import configure_logging
from nadia.redaction import redact_text


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers.clear()
    stream = io.StringIO()
    configure_logging(stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)


def test_the_pools_warnings_are_not_logged(log: io.StringIO) -> None:
    logging.getLogger("psycopg.pool").warning("error connecting in %r: %s", "pool-1", "no route")
    logging.getLogger("psycopg.pool").error("something worse")

    assert "error connecting" not in log.getvalue()
    assert "something worse" in log.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        'missing "=" after "postgresql:/u:hunter-zwei@h/x" in connection info string',
        'missing "=" after "hunter-zwei" in connection info string',
        'invalid percent-encoded token: "hunter-zwei%zz"',
        "cannot parse postgres//u:hunter-zwei@h/x",
        "cannot parse redis:/u:hunter-zwei@h",
    ],
)
def test_a_quoted_connection_string_is_masked(text: str) -> None:
    assert "hunter-zwei" not in redact_text(text)
