"""The project's documents as pages."""

import re
from pathlib import Path

import pytest

from nadia.errors import NotFoundError
from nadia.web.help_pages import FOLDERS, _contents, _document, _render, address

DOCS = Path(__file__).parents[3] / "docs"
DOCUMENTS = [(folder, path.stem) for folder in FOLDERS for path in sorted((DOCS / folder).glob("*.md"))]


def test_a_document_of_the_project_has_an_address() -> None:
    assert address("docs/operations/health.md#redis-memory") == "/help/health#redis-memory"
    assert address("docs/guides/models.md") == "/help/guides/models"


@pytest.mark.parametrize("docs", ["docs/design/message.md", "README.md", "docs/operations/x.json", "/etc/passwd", ""])
def test_nothing_else_has_one(docs: str) -> None:
    with pytest.raises(ValueError, match="not shown"):
        address(docs)


@pytest.mark.parametrize("name", ["..%2f..%2fREADME", "../../README", "Health", "", "x" * 300, "health.md", "nothing"])
def test_what_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(NotFoundError):
        _document("operations", name)
    with pytest.raises(NotFoundError):
        _document("../docs/operations", "roles")


@pytest.mark.parametrize(("folder", "name"), DOCUMENTS)
def test_every_link_of_a_document_leads_somewhere(folder: str, name: str) -> None:
    html = _document(folder, name).html
    for target in re.findall(r'href="([^"]*)"', html):
        if target.startswith("http"):
            continue
        path, _, section = target.partition("#")
        shown = html
        if path:
            _, _, rest = path.partition("/help/")
            found_folder, _, found = rest.rpartition("/")
            shown = _document(found_folder or "operations", found).html
        assert not section or f'id="{section}"' in shown, target


def test_the_contents_list_every_document() -> None:
    assert sum(len(documents) for _, documents in _contents()) == len(DOCUMENTS)


def test_markup_in_a_document_stays_text() -> None:
    html = _render("# A\n\n<script>alert(1)</script> [x](javascript:alert(1)) ![a picture](x.png)\n", "operations")
    assert "<script" not in html
    assert "javascript:" not in re.sub(r"\[x\]\(javascript:alert\(1\)\)", "", html)
    assert "<img" not in html
    assert "a picture" in html
