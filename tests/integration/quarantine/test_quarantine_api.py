"""Quarantine's JSON API and pages: who may do what, and what is refused."""

import httpx
import pytest

from nadia.accounts.models import Role
from nadia.conversations.batches import SealHeld
from support.desk_app import DeskHouse
from support.desk_fixtures import As, ann, as_person, house, stranger

__all__ = ["ann", "as_person", "house", "stranger"]

API = "/api/v1/quarantine"


async def person_of(house: DeskHouse, batch_id: int) -> int:
    return (await house.desk.item(batch_id)).person.id


@pytest.mark.parametrize("act", ["activate", "deactivate", "pass", "release", "discard"])
async def test_a_viewer_sees_and_a_reviewer_decides(
    house: DeskHouse, as_person: As, stranger: httpx.AsyncClient, ann: httpx.AsyncClient, act: str
) -> None:
    person_id = await person_of(house, await house.item("Eve", "hello"))
    if act != "activate":
        await house.quarantine.activate(person_id, reason="x", actor="system")
    viewer = await as_person("vera", Role.VIEWER)
    url, body = f"{API}/{person_id}/{act}", {"reason": "because"}
    assert (await stranger.post(url, json=body)).status_code == 401
    assert (await viewer.post(url, json=body)).status_code == 403
    assert (await stranger.get(f"{API}/{person_id}")).status_code == 401
    assert (await viewer.get(f"{API}/{person_id}")).status_code == 200
    assert (await viewer.get(API)).status_code == 200
    page = await viewer.get(f"/quarantine/{person_id}")
    assert "data-decide" not in page.text
    assert (await ann.post(url, json=body)).json()["changed"] is True
    log = (await ann.get(f"{API}/{person_id}")).json()["log"]
    assert {"ann"} <= {entry["actor_name"] for entry in log}


async def test_the_way_of_a_silence(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Eve", "answer me")
    person_id = await person_of(house, batch_id)
    done = await ann.post(f"{API}/{person_id}/activate", json={"reason": "threats"})
    assert done.json() == {"changed": True, "messages": 1, "items": 1}
    conversation = await house.conversation_of(batch_id)
    await house.writes(conversation, "again")
    assert await house.batches.seal(conversation.id) == SealHeld(messages=1)

    (silence,) = (await ann.get(API)).json()
    assert (silence["person_id"], silence["held"], silence["activated_by_name"]) == (person_id, 2, "ann")
    known = (await ann.get(f"{API}/{person_id}")).json()
    assert [message["text"] for message in known["messages"]] == ["answer me", "again"]
    assert [message["batch_id"] for message in known["messages"]] == [batch_id, None]

    second = known["messages"][1]["message_id"]
    url = f"{API}/{person_id}/release"
    assert (await ann.post(url, json={"reason": "x", "messages": [second]})).json()["messages"] == 1
    refused = await ann.post(url, json={"reason": "x", "messages": [second]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "nothing_held")


async def test_approving_a_silenced_customers_item_is_refused_with_the_reason(
    house: DeskHouse, ann: httpx.AsyncClient
) -> None:
    batch_id = await house.item("Eve", "hello")
    async with house.database.connection() as conn:  # it escaped the activation, which would have parked it
        await conn.execute(
            "INSERT INTO user_protocol_status (person_id, reason, activated_by, keeps) VALUES (%s, 'x', 'y', '7 days')",
            [await person_of(house, batch_id)],
        )
    seen = (await ann.get(f"/api/v1/desk/items/{batch_id}")).json()
    body = {"bubbles": ["x"], "seen_revision": seen["conversation_revision"], "seen_draft": seen["draft"]["id"]}
    refused = await ann.post(f"/api/v1/desk/items/{batch_id}/approve", json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "silenced")
    assert "pass" in refused.json()["error"]["hint"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "reason"),
        ({"reason": ""}, "reason"),
        ({"reason": " \t "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"reason": "\u202egnp"}, "reason"),
        ({"reason": "a\x1b[2J"}, "reason"),
        ({"reason": "x", "messages": []}, "messages"),
        ({"reason": "x", "messages": [0]}, "messages"),
        ({"reason": "x", "messages": [2**63]}, "messages"),
        ({"reason": "x", "people": [1]}, "people"),
    ],
)
async def test_bad_input_is_refused_with_its_field(
    house: DeskHouse, ann: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    person_id = await person_of(house, await house.item("Eve", "hello"))
    await house.quarantine.activate(person_id, reason="x", actor="system")
    refused = await ann.post(f"{API}/{person_id}/discard", json=body)
    assert refused.status_code == 422
    assert field in refused.json()["error"]["field"]
    assert (await ann.get(f"{API}/{person_id}")).json()["silence"]["held"] == 1


async def test_who_does_not_exist_is_not_found(ann: httpx.AsyncClient) -> None:
    assert (await ann.get(f"{API}/4711")).status_code == 404
    assert (await ann.post(f"{API}/4711/activate", json={"reason": "x"})).status_code == 404
    assert (await ann.get("/quarantine/4711")).status_code == 404
    assert (await ann.get(f"{API}/{2**70}")).status_code == 422


async def test_hostile_words_stay_words_on_the_page(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("<script>alert(1)</script>", "<img src=x onerror=alert(1)>")
    person_id = await person_of(house, batch_id)
    await ann.post(f"{API}/{person_id}/activate", json={"reason": '"><script>alert(2)</script>'})
    for path in ("/quarantine", f"/quarantine/{person_id}"):
        page = (await ann.get(path)).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "&lt;script&gt;alert(2)" in page
