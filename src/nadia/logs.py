"""Root handlers for structlog and the standard library's loggers, with secrets scrubbed on the way out."""

import json
import logging
import os
import sys
import traceback
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from nadia.log_files import LogFile
from nadia.redaction import redact, redact_text

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error", "critical"]
_Event = MutableMapping[str, object]

_QUIET: Final = (
    *("telethon", "httpx", "httpcore", "httpx2", "httpcore2", "urllib3", "asyncio"),
    *("openai", "uvicorn.access", "mcp"),
)
"""Libraries that tell of every request; they speak from WARNING on (baseline 2.5)."""

_SILENT: Final = ("psycopg.pool",)
"""Libraries whose warnings repeat each failed attempt, connection string and all; what fails is an error of ours."""

_OWN_HANDLERS: Final = ("uvicorn", "uvicorn.error", "uvicorn.access")
"""Loggers that libraries give handlers of their own, past the scrubbing one."""

_STYLES: Final = {
    "debug": "\x1b[2m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[1;31m",
}
_FAINT: Final = "\x1b[2m"
_BOLD: Final = "\x1b[1m"
_PLAIN: Final = "\x1b[0m"
_LONGEST_VALUE: Final = 2_000
"""Characters of one value in the console format: a page of customer's text must not drown a terminal."""


class LogsSettings(BaseModel):
    """What is logged, and how it looks."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    level: LogLevel = Field("info", description="Lowest level that is logged.")
    format: LogFormat = Field("console", description="`console` for people, `json` for log collectors.")
    file_enabled: bool = Field(
        True,
        description="Whether roles write JSON lines to `logs/` in the home too, for `nadia workflow find-error`.",
    )
    file_megabytes: float = Field(
        10.0,
        ge=0.1,
        description="Size at which a log file is put aside and the next one begun, megabytes (10^6 bytes).",
    )
    files_megabytes: float = Field(
        200.0, ge=1, description="Most that all log files take; the oldest go first, megabytes (10^6 bytes)."
    )

    @field_validator("level", "format", mode="before")
    @classmethod
    def _ignore_case(cls, value: object) -> object:
        return value.strip().lower() if isinstance(value, str) else value


def configure_logging(
    *,
    level: LogLevel = "info",
    format: LogFormat = "console",  # noqa: A002 - the name of the setting
    stream: TextIO | None = None,
    file: LogFile | None = None,
    force: bool = True,
) -> None:
    """Send all log entries of the process through one scrubbing handler, and one more where there is a file.

    Parameters
    ----------
    level : str
        Lowest level that is logged.
    format : str
        ``console`` or ``json`` (one object a line).
    stream : file, optional
        Where to; standard error when absent, so that standard output stays for data.
    file : LogFile, optional
        Where to as well, always as JSON.
    force : bool
        Replace handlers that the root logger has already. Otherwise those are left alone, and only structlog is
        pointed at the standard library.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        # Without caching, a later configuration (and a test's capture) reaches loggers that were used already.
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    if root.handlers and not force:
        return
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()

    stream = stream or sys.stderr
    handler = ScrubbingHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[_assemble, _render_json if format == "json" else ConsoleRenderer(colours=_wants_colour(stream))]
        )
    )
    root.addHandler(handler)
    if file is not None:
        file.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[_assemble, _render_json]))
        root.addHandler(file)
    threshold = getattr(logging, level.upper())
    root.setLevel(threshold)
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, threshold))
    for name in _SILENT:
        logging.getLogger(name).setLevel(max(logging.ERROR, threshold))


class ScrubbingHandler(logging.StreamHandler[TextIO]):
    """Writes to a stream, and never the raw arguments of an entry, not even when formatting it fails."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with what the stream's encoding lacks written as escapes."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return super().format(record).encode(encoding, "backslashreplace").decode(encoding)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - overrides the standard library's
        """Say that an entry was lost. The inherited method prints its arguments, secrets and all."""
        problem = sys.exc_info()[0]
        reason = problem.__name__ if problem else "error"
        try:
            self.stream.write(f"log entry lost: {record.name} {record.levelname} ({reason})\n")
        except (OSError, ValueError):
            return  # the stream is gone: nowhere left to say it


class ConsoleRenderer:
    """One line an entry: time, level, event, attributes; tracebacks below, indented.

    Parameters
    ----------
    colours : bool
        Whether to use ANSI colours.
    """

    def __init__(self, *, colours: bool) -> None:
        self._colours = colours

    def __call__(self, logger: object, method: str, event: _Event) -> str:
        """Return the text of one entry."""
        level, name = str(event.pop("level")), event.pop("logger")
        exception = event.pop("exception", None)
        parts = [
            self._paint(_FAINT, str(event.pop("timestamp"))),
            self._paint(_STYLES.get(level, ""), f"{level:<8}"),
            self._paint(_BOLD, _one_line(str(event.pop("event")))),
            *(f"{self._paint(_FAINT, _one_line(key) + '=')}{_console_value(value)}" for key, value in event.items()),
        ]
        if level not in ("debug", "info"):
            parts.append(self._paint(_FAINT, f"({name})"))
        lines = [" ".join(parts)]
        if isinstance(exception, str):
            # Indented and escaped line by line: text inside an exception cannot pose as an entry.
            lines += ["    " + _one_line(line) for line in exception.rstrip().split("\n")]
        return "\n".join(lines)

    def _paint(self, style: str, text: str) -> str:
        return f"{style}{text}{_PLAIN}" if self._colours and style else text


def _assemble(logger: object, method: str, event: _Event) -> _Event:
    """Order an entry's parts, make plain data of them, and scrub them."""
    record = event.pop("_record")
    assert isinstance(record, logging.LogRecord)
    event.pop("_from_structlog", None)
    exc_info, stack = event.pop("exc_info", None), event.pop("stack_info", None)
    moment = datetime.fromtimestamp(record.created, UTC)
    entry: dict[str, object] = {
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": event.pop("event", ""),
        "logger": record.name,
    }
    # An attribute may not pose as one of the entry's own parts.
    entry |= {(f"{key}_" if key in entry else key): value for key, value in event.items()}
    scrubbed = {str(key): redact(_plain(value), name=str(key)) for key, value in entry.items()}
    trace = _traceback_text(exc_info)
    if trace or stack:
        scrubbed["exception"] = redact_text(trace or str(stack))
    return scrubbed


def _traceback_text(exc_info: object) -> str | None:
    if exc_info is True:
        exc_info = sys.exc_info()
    exc = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if not isinstance(exc, BaseException):
        return None
    return "".join(traceback.format_exception(exc))


def _plain(value: object) -> object:
    """Return what JSON can hold; other objects by their text, so that scrubbing sees it."""
    if value is None or isinstance(value, bool | int | float | str | SecretStr):
        return value
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)


def _render_json(logger: object, method: str, event: _Event) -> str:
    return json.dumps(event, default=str)


def _console_value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}… ({len(text)} characters)"
    text = _one_line(text)
    return f"'{text}'" if isinstance(value, str) and (not text or " " in text or "=" in text) else text


def _one_line(text: str) -> str:
    """Escape what would break a line or drive a terminal: control, bidirectional and unassigned characters."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _wants_colour(stream: TextIO) -> bool:
    """Say whether colours are wanted (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()
