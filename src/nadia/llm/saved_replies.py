"""The desk's saved replies: a text file that a person edits, read again when it changes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import structlog

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.errors import ConfigurationError
from nadia.llm.similarity import SimilarityIndex

log = structlog.get_logger(__name__)

_TITLE_MARK: Final = "==="
_WHEN: Final = "when:"
_ANYTHING: Final = "*"
_LONGEST_TITLE: Final = 80
_GUIDE: Final = "docs/guides/saved-replies.md shows how the file is written"


@dataclass(frozen=True, slots=True)
class SavedReply:
    """A reply that the desk has ready.

    Attributes
    ----------
    title : str
        Its name at the desk, unique.
    examples : tuple of str
        What customers write when this is the answer.
    text : str
        The reply.
    is_catch_all : bool
        Whether it is the answer when nothing else fits (``when: *``).
    """

    title: str
    examples: tuple[str, ...]
    text: str
    is_catch_all: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """A saved reply and how near it is to what was asked, 0 to 1."""

    reply: SavedReply
    score: float


class SavedReplies:
    """The replies of one file.

    The file is looked at on every use. A version that cannot be read is refused as a whole, logged, and told in
    `problem`; the last good one stays in use, so that a half-saved edit never empties the desk.

    Parameters
    ----------
    path : Path or None
        The operator's file; the shipped one when None.

    Raises
    ------
    ConfigurationError
        If the file cannot be used at the start; names the line.
    """

    def __init__(self, *, path: Path | None = None) -> None:
        self._path = path
        self._seen = _fingerprint(path)
        self._use(_load(path))
        self.problem: str | None = None

    def all(self) -> tuple[SavedReply, ...]:
        """Return the replies in the order of the file."""
        self._refresh()
        return self._replies

    def nearest(self, text: str, limit: int = 5) -> list[Match]:
        """Return the replies whose examples, title or text are nearest to a text, best first.

        Parameters
        ----------
        text : str
            What a customer wrote.
        limit : int
            Most matches. Replies with nothing in common are left out.
        """
        self._refresh()
        best = [0.0] * len(self._replies)
        for owner, score in zip(self._owners, self._index.scores(text), strict=True):
            best[owner] = max(best[owner], score)
        matches = [Match(reply, score) for reply, score in zip(self._replies, best, strict=True) if score > 0]
        return sorted(matches, key=lambda match: -match.score)[:limit]

    def catch_all(self) -> SavedReply | None:
        """Return the reply for when nothing else fits, if the file has one."""
        return next((reply for reply in self.all() if reply.is_catch_all), None)

    def _refresh(self) -> None:
        seen = _fingerprint(self._path)
        if seen is None or seen == self._seen:
            return  # an editor that replaces the file may have removed it for a moment
        self._seen = seen
        try:
            self._use(_load(self._path))
        except ConfigurationError as exc:
            self.problem = exc.message
            log.error("saved_replies.refused", problem=exc.message, hint=exc.hint)  # noqa: TRY400 - the line says it all
        else:
            self.problem = None
            log.info("saved_replies.loaded", path=str(self._path), replies=len(self._replies))

    def _use(self, replies: tuple[SavedReply, ...]) -> None:
        texts: list[str] = []
        owners: list[int] = []
        for position, reply in enumerate(replies):
            for text in (*reply.examples, reply.title, reply.text):
                texts.append(text)
                owners.append(position)
        self._replies, self._owners, self._index = replies, owners, SimilarityIndex(texts)


def parse_saved_replies(text: str, *, shown: str) -> tuple[SavedReply, ...]:
    """Read the file's text.

    Parameters
    ----------
    text : str
        The text; what stands above the first title is for people only.
    shown : str
        The file's name for messages.

    Raises
    ------
    ConfigurationError
        If something is not as the format wants it; names the line.
    """

    def refuse(line: int, problem: str) -> ConfigurationError:
        return ConfigurationError(f"{shown}:{line}: {problem}", hint=_GUIDE)

    replies: list[SavedReply] = []
    first_lines: dict[str, int] = {}
    for line, title, body in _blocks(text.replace("\r\n", "\n").split("\n"), refuse):
        key = title.casefold()
        if key in first_lines:
            raise refuse(line, f"the title {title!r} stands on line {first_lines[key]} already")
        first_lines[key] = line
        replies.append(_reply(line, title, body, refuse))
    if not replies:
        raise refuse(1, f"there is no reply; each begins with a line '{_TITLE_MARK} Title'")
    if sum(reply.is_catch_all for reply in replies) > 1:
        titles = [reply.title for reply in replies if reply.is_catch_all]
        raise refuse(first_lines[titles[1].casefold()], f"'{_WHEN} {_ANYTHING}' belongs to {titles[0]!r} already")
    return tuple(replies)


_Refuse = Callable[[int, str], ConfigurationError]


def _blocks(lines: Sequence[str], refuse: _Refuse) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the line number of each title, the title, and the lines below it."""
    start, title, body = 0, "", list[str]()
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise refuse(number, "it holds a null byte: save the file as plain text (UTF-8)")
        if not line.startswith("="):
            body.append(line)
            continue
        if start:
            yield start, title, body
        start, title, body = number, line.strip("= \t"), []
        if not line.startswith(_TITLE_MARK):
            raise refuse(number, f"a title begins with {_TITLE_MARK!r}, and no other line with '='")
        if not title:
            raise refuse(number, f"the title is missing: write '{_TITLE_MARK} Title'")
        if len(title) > _LONGEST_TITLE:
            raise refuse(number, f"the title has more than {_LONGEST_TITLE} characters")
    if start:
        yield start, title, body


def _reply(title_line: int, title: str, body: list[str], refuse: _Refuse) -> SavedReply:
    examples: list[str] = []
    text_begins = next(
        (index for index, line in enumerate(body) if line.strip() and not _is_when(line)),
        len(body),
    )
    for number, line in enumerate(body[:text_begins], start=title_line + 1):
        if line.strip():
            examples.append(line.strip()[len(_WHEN) :].strip())
            if not examples[-1]:
                raise refuse(number, f"'{_WHEN}' is empty: add what a customer would write")
    for number, line in enumerate(body[text_begins:], start=title_line + 1 + text_begins):
        if _is_when(line):
            raise refuse(number, f"'{_WHEN}' lines stand directly below the title, above the text")
    text = "\n".join(line.rstrip() for line in body[text_begins:]).strip()
    if not text:
        raise refuse(title_line, f"the reply {title!r} has no text")
    if len(text.encode("utf-16-le")) // 2 > TELEGRAM_TEXT_LIMIT:
        raise refuse(title_line, f"the reply {title!r} is longer than Telegram's {TELEGRAM_TEXT_LIMIT} characters")
    return SavedReply(
        title=title,
        examples=tuple(example for example in examples if example != _ANYTHING),
        text=text,
        is_catch_all=_ANYTHING in examples,
    )


def _is_when(line: str) -> bool:
    return line.strip().casefold().startswith(_WHEN)


def _load(path: Path | None) -> tuple[SavedReply, ...]:
    if path is None:
        shipped = resources.files("nadia.llm").joinpath("saved_replies.txt")
        return parse_saved_replies(shipped.read_text(encoding="utf-8"), shown="saved_replies.txt")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigurationError(
            f"the saved replies {path} cannot be read: {exc.strerror}", hint="see NADIA_LLM_SAVED_REPLIES_FILE"
        ) from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{path}:{line}: not UTF-8", hint="save the file as plain text with the encoding UTF-8"
        ) from exc
    return parse_saved_replies(text, shown=str(path))


def _fingerprint(path: Path | None) -> tuple[int, int, int] | None:
    """Return what changes when the file does; None for the shipped one, or while there is none."""
    if path is None:
        return None
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino
