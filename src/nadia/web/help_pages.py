"""The project's own documents as pages, so that what is red can link to what to do about it.

``/help/health#redis-memory`` is the section of ``docs/operations/health.md``; guides and references are under
``/help/guides/…`` and ``/help/reference/…``.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Final

from fastapi import APIRouter
from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.requests import Request
from starlette.responses import Response

from nadia.errors import NotFoundError
from nadia.web.identity import Viewer
from nadia.web.pages import page

FOLDERS: Final[Mapping[str, str]] = {"operations": "", "guides": "guides/", "reference": "reference/"}
"""Folders of ``docs/`` that are shown, with what stands before a page's name in its address."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_INSTALLED: Final = Path(__file__).with_name("help")
_CHECKOUT: Final = Path(__file__).parents[3] / "docs"


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it is shown."""

    title: str
    html: str


def address(docs: str) -> str:
    """Return where a document is shown.

    Parameters
    ----------
    docs : str
        Its path from the project's root, with or without a section: ``docs/operations/health.md#redis-memory``.

    Raises
    ------
    ValueError
        If it is not one of those that are shown.
    """
    path, mark, section = docs.partition("#")
    parts = PurePosixPath(path).parts
    if len(parts) != 3 or parts[0] != "docs" or parts[1] not in FOLDERS or not path.endswith(".md"):
        raise ValueError(f"{docs} is not shown under /help")
    return f"/help/{FOLDERS[parts[1]]}{parts[2].removesuffix('.md')}{mark}{section}"


def help_router() -> APIRouter:
    """Build the documents' routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/help")
    async def contents_page(request: Request, _: Viewer) -> Response:
        """List the documents."""
        return await page(request, "help_contents.html", folders=_contents())

    @router.get("/help/{name}")
    async def operations_page(request: Request, _: Viewer, name: str) -> Response:
        """Show a document for operators."""
        return await page(request, "help.html", document=_document("operations", name))

    @router.get("/help/{folder}/{name}")
    async def document_page(request: Request, _: Viewer, folder: str, name: str) -> Response:
        """Show a guide or a reference."""
        return await page(request, "help.html", document=_document(folder, name))

    return router


@cache
def _contents() -> Sequence[tuple[str, Sequence[tuple[str, str]]]]:
    """Return each folder with its documents, as (address, title)."""
    return [
        (
            folder.capitalize(),
            [
                (address(f"docs/{folder}/{path.name}"), _title(path.read_text()))
                for path in sorted(_folder(folder).glob("*.md"))
            ],
        )
        for folder in FOLDERS
    ]


@cache
def _document(folder: str, name: str) -> Document:
    path = _folder(folder) / f"{name}.md" if folder in FOLDERS and _NAME.fullmatch(name) else None
    if path is None or not path.is_file():
        raise NotFoundError(f"there is no document {name!r}", hint="/help lists them")
    text = path.read_text(encoding="utf-8")
    return Document(title=_title(text), html=_render(text, folder))


def _folder(name: str) -> Path:
    """Return where a folder's documents are: in the package, or in the checkout that it runs from."""
    return (_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT) / name


def _title(text: str) -> str:
    return text.removeprefix("# ").splitlines()[0]


def _render(text: str, folder: str) -> str:
    # Raw HTML stays text: what is shown is exactly what the styles of these pages foresee.
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    _name_headings(tokens)
    _lead_links(tokens, folder)
    html: str = parser.renderer.render(tokens, parser.options, {})
    return html


def _name_headings(tokens: Sequence[Token]) -> None:
    """Give headings the ids that links in documents use: those of the site that the project's code is hosted on."""
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or ())
            opening.attrSet("id", re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))


def _lead_links(tokens: Sequence[Token], folder: str) -> None:
    """Let links between documents lead to their pages; what is not shown, pictures too, becomes plain text."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":  # their files are not served: the words that stand for one do
                child.type = "text"
            target = child.attrGet("href") if child.type == "link_open" else None
            if isinstance(target, str) and not target.startswith(("#", "http:", "https:")):
                child.attrs.pop("href")
                if (led := _led(target, folder)) is not None:
                    child.attrSet("href", led)


def _led(target: str, folder: str) -> str | None:
    path, mark, section = target.partition("#")
    parts: list[str] = ["docs", folder]
    for part in PurePosixPath(path).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
        if not parts:
            return None
    try:
        return address(f"{'/'.join(parts)}{mark}{section}")
    except ValueError:
        return None
