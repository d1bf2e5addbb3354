import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr, ValidationError

from nadia.logs import LogFormat, LogsSettings, configure_logging

SECRET = "hunter2-hunter2"


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Whatever a test configures, the next one starts with what was there."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_structlog_and_standard_library_share_one_json_form() -> None:
    stream = io.StringIO()
    configure_logging(format="json", stream=stream)
    structlog.get_logger("nadia.pacing").info("batch.sealed", batch_id=7)
    logging.getLogger("elsewhere").warning("disk %s is %d%% full", "a", 91)
    first, second = lines(stream)
    assert first | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "event": "batch.sealed",
        "logger": "nadia.pacing",
        "batch_id": 7,
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(first["timestamp"]))
    assert (second["event"], second["level"]) == ("disk a is 91% full", "warning")


@pytest.mark.parametrize("form", ["console", "json"])
def test_secrets_are_scrubbed_wherever_they_stand(form: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(format=form, stream=stream)
    log = structlog.get_logger("nadia.test")
    log.info("a.b", password=SECRET, nested={"api_key": SECRET, "n": [f"token={SECRET}"]}, wrapped=SecretStr(SECRET))
    log.info(f"connecting to postgresql://nadia:{SECRET}@host/db")
    logging.getLogger("other").warning("using %s", f"Bearer {SECRET}")
    try:
        raise RuntimeError(f"cannot reach redis://:{SECRET}@host:6379")
    except RuntimeError:
        log.exception("redis.failed")
        logging.getLogger("other").exception("failed with password=%s", SECRET)
    text = stream.getvalue()
    assert SECRET not in text
    assert text.count("RuntimeError: cannot reach redis://:***@host:6379") == 2


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_value_cannot_pose_as_another_entry(form: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(format=form, stream=stream)
    forged = "x\n2026-01-01T00:00:00.000Z info     all.well\r\x1b[2Jnul\x00 \u202egnp \ud800"
    log = structlog.get_logger("nadia.test")
    log.info("message.received", text=forged, **{"key\nwith": "break"})
    log.info(forged)
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()
    assert "\u202e" not in stream.getvalue()


def test_text_in_an_exception_cannot_pose_as_another_entry() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    try:
        raise ValueError("first\n2026-01-01T00:00:00.000Z info     all.well")
    except ValueError:
        structlog.get_logger("nadia.test").exception("a.failed")
    entry, *below = stream.getvalue().splitlines()
    assert "a.failed" in entry
    assert all(line.startswith("    ") for line in below)


def test_an_attribute_cannot_replace_the_entrys_own_parts() -> None:
    stream = io.StringIO()
    configure_logging(format="json", stream=stream)
    structlog.get_logger("nadia.test").info("a.b", level="critical", timestamp="never")
    (entry,) = lines(stream)
    assert entry["level"] == "info"
    assert entry["timestamp"] != "never"
    assert (entry["level_"], entry["timestamp_"]) == ("critical", "never")


@pytest.mark.parametrize("name", ["telethon.network", "httpx", "urllib3.connectionpool", "asyncio", "uvicorn.access"])
def test_chatty_libraries_speak_from_warning_on(name: str) -> None:
    stream = io.StringIO()
    configure_logging(level="debug", format="json", stream=stream)
    logging.getLogger(name).info("one request")
    logging.getLogger(name).warning("trouble")
    assert [entry["event"] for entry in lines(stream)] == ["trouble"]


def test_earlier_handlers_are_replaced_uvicorns_included() -> None:
    earlier, own, stream = io.StringIO(), io.StringIO(), io.StringIO()
    logging.getLogger().addHandler(logging.StreamHandler(earlier))
    uvicorn = logging.getLogger("uvicorn.error")
    uvicorn.addHandler(logging.StreamHandler(own))
    uvicorn.propagate = False
    configure_logging(format="json", stream=stream)
    uvicorn.error("started")
    assert (earlier.getvalue(), own.getvalue()) == ("", "")
    assert [entry["event"] for entry in lines(stream)] == ["started"]


def test_without_force_existing_handlers_stay() -> None:
    stream = io.StringIO()
    handlers = list(logging.getLogger().handlers)
    assert handlers  # pytest's own
    configure_logging(stream=stream, force=False)
    assert logging.getLogger().handlers == handlers


def test_entries_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    configure_logging(level="error", format="json", stream=stream)
    structlog.get_logger("nadia.test").warning("a.b")
    logging.getLogger("httpx").warning("c")
    structlog.get_logger("nadia.test").error("d.e")
    assert [entry["event"] for entry in lines(stream)] == ["d.e"]


def test_an_entry_that_cannot_be_formatted_leaks_nothing() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    logging.getLogger("other").warning("only %d", f"password={SECRET}")
    assert stream.getvalue() == "log entry lost: other WARNING (TypeError)\n"


def test_colours_are_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    terminal, file, wished_plain = Terminal(), io.StringIO(), Terminal()
    configure_logging(stream=terminal)
    structlog.get_logger("nadia.test").info("a.b")
    configure_logging(stream=file)
    structlog.get_logger("nadia.test").info("a.b")
    monkeypatch.setenv("NO_COLOR", "1")
    configure_logging(stream=wished_plain)
    structlog.get_logger("nadia.test").info("a.b")
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b[" not in file.getvalue() + wished_plain.getvalue()


def test_the_console_line_reads_from_left_to_right() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    structlog.contextvars.bind_contextvars(role="worker")
    structlog.get_logger("nadia.pacing").warning("batch.late", seconds=3.5, reason="no room", ids=[1, 2])
    assert re.fullmatch(
        r"\S+Z warning  batch\.late seconds=3\.5 reason='no room' ids=\[1, 2\] role=worker \(nadia\.pacing\)\n",
        stream.getvalue(),
    )


def test_characters_that_the_stream_lacks_are_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    configure_logging(stream=stream)
    structlog.get_logger("nadia.test").info("a.b", name="Zoë")
    assert b"Zo\\xeb" in raw.getvalue()


def test_settings_ignore_case_and_refuse_other_words() -> None:
    assert LogsSettings.model_validate({"level": " WARNING ", "format": "JSON"}) == LogsSettings(
        level="warning", format="json"
    )
    with pytest.raises(ValidationError, match="level"):
        LogsSettings.model_validate({"level": "loud"})
