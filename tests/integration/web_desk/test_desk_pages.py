"""The desk's pages as the server first sends them."""

import httpx
import pytest

from nadia.accounts.models import Role
from support.desk_app import DeskHouse, fill
from support.desk_fixtures import As

HTML = {"Accept": "text/html"}


async def test_the_queue_is_in_the_first_answer(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana Ruiz", "where is my order?")
    text = (await ann.get("/desk", headers=HTML)).text
    assert f'href="/desk/items/{batch_id}"' in text
    assert "Ana Ruiz" in text
    assert "where is my order?" in text
    assert "<title>(1) Desk" in text


async def test_an_empty_queue_says_what_happens_next(ann: httpx.AsyncClient) -> None:
    text = (await ann.get("/desk", headers=HTML)).text
    assert "Nobody is waiting" in text
    assert "appears here by itself" in " ".join(text.split())


async def test_customers_words_and_names_are_text(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    batch_id = await house.item(f'"{hostile}\u202e', f"</textarea>{hostile}", draft=f"</textarea>{hostile}")
    for path in ("/desk", f"/desk/items/{batch_id}", f"/desk/parts/items/{batch_id}", "/desk/parts/queue"):
        text = (await ann.get(path, headers=HTML)).text
        assert "<img" not in text
        assert "\u202e" not in text
        assert "&lt;img src=x onerror=alert(1)&gt;" in text


async def test_a_viewer_sees_the_draft_and_no_way_to_decide(house: DeskHouse, as_person: As) -> None:
    batch_id = await house.item("Ana", "hello", draft="drafted words")
    viewer = await as_person("vera", Role.VIEWER)
    text = (await viewer.get(f"/desk/items/{batch_id}", headers=HTML)).text
    assert "drafted words" in text
    for absent in ("data-editor", "data-action=", "data-open-pauses", "dialog-reject"):
        assert absent not in text


async def test_whoever_is_not_logged_in_is_sent_to_log_in_and_comes_back(
    stranger: httpx.AsyncClient,
) -> None:
    answer = await stranger.get("/desk/items/7", headers=HTML)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Fdesk%2Fitems%2F7"


@pytest.mark.parametrize("path", ["/desk/items/999", "/desk/parts/items/999"])
async def test_an_item_that_is_not_there_is_not_found(ann: httpx.AsyncClient, path: str) -> None:
    assert (await ann.get(path, headers=HTML)).status_code == 404


@pytest.mark.parametrize("path", ["/desk?tab=everything", "/desk/items/0", "/desk/items/x", f"/desk/items/{2**63}"])
async def test_addresses_that_make_no_sense_are_refused(ann: httpx.AsyncClient, path: str) -> None:
    assert (await ann.get(path, headers=HTML)).status_code == 422


async def test_every_item_and_tab_of_a_full_desk_can_be_shown(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    numbers = await fill(house)
    for path in [f"/desk/items/{number}" for number in numbers] + [f"/desk?tab={tab}" for tab in ("parked", "recent")]:
        assert (await ann.get(path, headers=HTML)).status_code == 200, path


async def test_who_paused_is_named_in_the_dialog(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    await ann.post("/api/v1/desk/pauses", json={"activity": "sending", "reason": "stock-taking"})
    text = (await ann.get("/desk/parts/status", headers=HTML)).text
    assert "by <bdi>ann</bdi>" in text
    assert 'data-resume="sending"' in text
    assert 'data-pause="drafting"' in text
