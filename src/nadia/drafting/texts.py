"""The operator's texts: persona and disclosure, read again when the file changes."""

from pathlib import Path
from typing import Final

import structlog

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.errors import ConfigurationError

log = structlog.get_logger(__name__)

_SHIPPED: Final = Path(__file__).parent
_LONGEST_PERSONA: Final = 50_000


class OperatorText:
    """A text file of the operator's.

    Parameters
    ----------
    file : Path
        UTF-8.
    longest : int
        Most characters.
    """

    def __init__(self, file: Path, *, longest: int) -> None:
        self._file = file
        self._longest = longest
        self._seen: tuple[int, int] | None = None
        self._text: str | None = None

    def __call__(self) -> str:
        """Return the text as it stands in the file now, without surrounding white space.

        A file that becomes unusable while NADIA runs is logged once, and the last usable text goes on.

        Raises
        ------
        ConfigurationError
            If the file cannot be read, is empty, too long or not UTF-8, and never was otherwise.
        """
        state = self._state()
        if self._text is None or state != self._seen:
            try:
                self._text = self._read()
            except ConfigurationError as exc:
                if self._text is None:
                    raise
                log.error("text.unusable", file=str(self._file), reason=exc.message, hint=exc.hint)  # noqa: TRY400
            self._seen = state
        return self._text

    def _state(self) -> tuple[int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _read(self) -> str:
        try:
            return self._checked(self._file.read_text(encoding="utf-8").strip())
        except OSError as exc:
            raise ConfigurationError(f"{self._file} cannot be read: {exc.strerror}") from exc
        except UnicodeDecodeError as exc:
            raise ConfigurationError(f"{self._file} is not UTF-8 text", hint="save it as UTF-8") from exc

    def _checked(self, text: str) -> str:
        if not text or "\x00" in text:
            raise ConfigurationError(f"{self._file} holds no text", hint="write the text, or unset the setting")
        if len(text) > self._longest:
            raise ConfigurationError(f"{self._file} is longer than {self._longest} characters", hint="shorten it")
        return text


def persona(file: Path | None) -> OperatorText:
    """Return the persona: the operator's, or the shipped one, which says that it is an AI assistant."""
    return OperatorText(file or _SHIPPED / "persona.txt", longest=_LONGEST_PERSONA)


def disclosure(file: Path | None) -> OperatorText:
    """Return what a new customer is told first: that replies are AI-drafted and reviewed by people."""
    return OperatorText(file or _SHIPPED / "disclosure.txt", longest=TELEGRAM_TEXT_LIMIT // 2)
