"""Small parts of the web that need no application."""

import re
from pathlib import Path

import pytest

from nadia.accounts.errors import SecondFactorRequiredError, ThrottledError, UnauthenticatedError
from nadia.errors import ConflictError, InvalidInputError, NadiaError, NotFoundError, RefusedError, UnavailableError
from nadia.web.assets import STATIC, StaticAssets
from nadia.web.browsers import browser_name
from nadia.web.errors import code_of, status_of
from nadia.web.session_routes import local_path
from nadia.web.sse import ServerEvent

TEMPLATES = STATIC.parent / "templates"


class GoneStaleError(ConflictError):
    """A domain's own error."""


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInputError("x", field="f"), 422, "invalid_input"),
        (NotFoundError("x"), 404, "not_found"),
        (GoneStaleError("x"), 409, "gone_stale"),
        (RefusedError("x"), 403, "refused"),
        (UnauthenticatedError("x"), 401, "unauthenticated"),
        (SecondFactorRequiredError("x"), 401, "second_factor_required"),
        (ThrottledError("x", retry_after=1), 429, "throttled"),
        (UnavailableError("x"), 503, "unavailable"),
        (NadiaError("x"), 500, "nadia"),
    ],
)
def test_each_error_has_a_status_and_a_name(error: NadiaError, status: int, code: str) -> None:
    assert (status_of(error), code_of(error)) == (status, code)


@pytest.mark.parametrize(
    ("target", "path"),
    [("/desk?item=3", "/desk?item=3"), ("", "/"), ("desk", "/"), ("/\t/evil.org", "/"), ("/login", "/"), ("//x", "/")],
)
def test_where_logging_in_leads(target: str, path: str) -> None:
    assert local_path(target) == path


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Windows"),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 "
            "Safari/537.36 Edg/140.0",
            "Edge on macOS",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("", "Another browser"),
    ],
)
def test_browsers_are_named_as_people_know_them(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


def test_an_event_is_framed_so_that_no_text_can_end_it() -> None:
    frame = ServerEvent("x", {"text": "a\n\ndata: forged\r\u2028"}).encode()
    assert frame.count(b"\n\n") == 1
    assert frame.count(b"data:") == 2
    assert frame.splitlines()[1].startswith(b'data: {"text": "a\\n\\ndata: forged')


def test_a_change_to_any_file_changes_every_address(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("1")
    before = StaticAssets(tmp_path).url("js/a.js")
    (tmp_path / "b.css").write_text("")
    assert StaticAssets(tmp_path).url("js/a.js") != before
    with pytest.raises(KeyError):
        StaticAssets(tmp_path).url("js/c.js")


def test_templates_name_only_files_that_exist() -> None:
    assets = StaticAssets()
    named = {
        name
        for template in TEMPLATES.glob("*.html")
        for name in re.findall(r"""static\(["']([^"']+)["']\)""", template.read_text())
    }
    assert named
    for name in named:
        assert assets.url(name)


def test_scripts_import_only_files_that_exist() -> None:
    for script in (STATIC / "js").rglob("*.js"):
        for name in re.findall(r"""from ["'](\.[^"']+)["']""", script.read_text()):
            assert (script.parent / name).is_file(), f"{script.name} imports {name}"


def _tokens() -> dict[str, tuple[str, str]]:
    css = (STATIC / "css" / "tokens.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    return {name: (light, dark) for name, light, dark in pairs}


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio."""

    def luminance(colour: str) -> float:
        channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
        red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


TEXT_ON = {
    "text": ("bg", "surface", "sunken"),
    "text-soft": ("bg", "surface", "sunken"),
    "accent": ("bg", "surface"),
    "accent-strong": ("surface", "accent-soft"),
    "on-accent": ("accent", "accent-strong"),
    "good": ("surface", "good-soft"),
    "warn": ("surface", "warn-soft"),
    "bad": ("surface", "bad-soft"),
    "on-bad": ("bad",),
}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_reaches_the_contrast_of_wcag_aa(theme: int) -> None:
    tokens = _tokens()
    for text, grounds in TEXT_ON.items():
        for ground in grounds:
            ratio = _contrast(tokens[text][theme], tokens[ground][theme])
            assert ratio >= 4.5, f"--{text} on --{ground}: {ratio:.2f}"
    for ground in ("bg", "surface"):
        assert _contrast(tokens["edge-strong"][theme], tokens[ground][theme]) >= 3
