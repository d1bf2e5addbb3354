"""The desk's JSON API on the real review service."""

import httpx
import pytest

from nadia.accounts.models import Role
from nadia.conversations.models import BatchState
from support.desk_app import DISCLOSURE, DeskHouse
from support.desk_fixtures import As

API = "/api/v1/desk"
CHANGES: list[tuple[str, dict[str, object] | None]] = [
    ("claim", None),
    ("release", None),
    ("approve", {"bubbles": ["x"], "seen_revision": 1, "seen_draft": None}),
    ("undo", None),
    ("reject", {"reason": "spam", "seen_revision": 1}),
    ("redraft", {}),
    ("park", {"reason": "later"}),
    ("unpark", {"resolution": "resume"}),
]


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    detail = answer.json()["error"]
    return answer.status_code, detail["code"], detail["field"]


async def approve(
    client: httpx.AsyncClient, batch_id: int, *bubbles: str, revision: int | None = None, **more: object
) -> httpx.Response:
    detail = (await client.get(f"{API}/items/{batch_id}")).json()
    body: dict[str, object] = {
        "bubbles": list(bubbles),
        "seen_revision": detail["conversation_revision"] if revision is None else revision,
        "seen_draft": detail["draft"]["id"] if detail["draft"] else None,
    }
    body |= more
    return await client.post(f"{API}/items/{batch_id}/approve", json=body)


@pytest.mark.parametrize(("action", "body"), CHANGES)
async def test_only_reviewers_change_anything(
    house: DeskHouse, as_person: As, stranger: httpx.AsyncClient, action: str, body: object
) -> None:
    batch_id = await house.item("Ana", "hello")
    viewer = await as_person("vera", Role.VIEWER)
    url = f"{API}/items/{batch_id}/{action}"
    assert (await stranger.post(url, json=body)).status_code == 401
    assert (await viewer.post(url, json=body)).status_code == 403
    assert await house.state(batch_id) is BatchState.DRAFTED


@pytest.mark.parametrize(("action", "body"), CHANGES)
async def test_an_item_that_is_not_there_is_not_found(ann: httpx.AsyncClient, action: str, body: object) -> None:
    assert error_of(await ann.post(f"{API}/items/999/{action}", json=body)) == (404, "not_found", None)


async def test_a_session_cookie_needs_the_pages_token_to_change_anything(house: DeskHouse) -> None:
    batch_id = await house.item("Ana", "hello")
    cookie = await house.cookie("ann")
    async with httpx.AsyncClient(base_url=house.url, cookies={cookie["name"]: cookie["value"]}) as browser:
        assert error_of(await browser.post(f"{API}/items/{batch_id}/claim"))[:2] == (403, "csrf")
        me = (await browser.get("/api/v1/me")).json()
        headers = {"X-CSRF-Token": me["csrf_token"]}
        assert (await browser.post(f"{API}/items/{batch_id}/claim", headers=headers)).status_code == 200


async def test_a_viewer_reads_queue_and_item(house: DeskHouse, as_person: As) -> None:
    batch_id = await house.item("Ana", "hello", "are you there?")
    viewer = await as_person("vera", Role.VIEWER)
    queue = (await viewer.get(f"{API}/queue")).json()
    assert queue["waiting"] == 1
    assert [(item["batch_id"], item["messages"], item["preview"]) for item in queue["items"]] == [
        (batch_id, 2, "are you there?")
    ]
    item = (await viewer.get(f"{API}/items/{batch_id}")).json()
    assert [message["text"] for message in item["messages"]] == ["hello", "are you there?"]
    assert item["draft"]["bubbles"] == ["Thanks, we look into it."]


async def test_a_reply_is_approved_to_the_letter_and_can_be_taken_back(
    house: DeskHouse, ann: httpx.AsyncClient
) -> None:
    batch_id = await house.item("Ana", "hello")
    answer = await approve(ann, batch_id, "  Hello <b>Ana</b> ", "see you")
    assert answer.status_code == 200
    assert 0 < answer.json()["undo_seconds"] <= 60
    assert await house.outbox(batch_id) == ["  Hello <b>Ana</b> ", "see you"]
    recent = (await ann.get(f"{API}/queue", params={"tab": "recent"})).json()["items"]
    assert [item["batch_id"] for item in recent] == [batch_id]
    undone = await ann.post(f"{API}/items/{batch_id}/undo")
    assert undone.json() == {"batch_id": batch_id, "state": "in_review"}
    assert await house.outbox(batch_id) == []


async def test_a_second_approval_changes_nothing(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello")
    assert (await approve(ann, batch_id, "once")).status_code == 200
    assert error_of(await approve(ann, batch_id, "twice"))[:2] == (409, "transition")
    assert await house.outbox(batch_id) == ["once"]


async def test_somebody_elses_claim_is_a_conflict_that_names_them(
    house: DeskHouse, as_person: As, ann: httpx.AsyncClient
) -> None:
    batch_id = await house.item("Ana", "hello")
    held = (await ann.post(f"{API}/items/{batch_id}/claim")).json()
    assert held["claimed_by"] == "ann"
    assert 100 < held["claim_seconds_left"] <= 120
    bob = await as_person("bob")
    refused = await bob.post(f"{API}/items/{batch_id}/claim")
    assert error_of(refused)[:2] == (409, "claimed_by_other")
    assert "ann" in refused.json()["error"]["message"]
    assert (await approve(bob, batch_id, "x")).status_code == 409
    assert (await ann.post(f"{API}/items/{batch_id}/release")).status_code == 200
    assert (await bob.post(f"{API}/items/{batch_id}/claim")).status_code == 200


async def test_what_the_customer_wrote_meanwhile_has_to_be_confirmed(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello")
    seen = (await ann.get(f"{API}/items/{batch_id}")).json()["conversation_revision"]
    await house.writes(await house.conversation_of(batch_id), "wait, something else")
    assert error_of(await approve(ann, batch_id, "x", revision=seen))[:2] == (409, "stale")
    assert error_of(await approve(ann, batch_id, "x"))[:2] == (409, "stale")
    assert (await approve(ann, batch_id, "x", confirm_newer=True)).status_code == 200


async def test_a_new_customer_is_told_first(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello", told=False)
    assert (await ann.get(f"{API}/items/{batch_id}")).json()["disclosure"] == DISCLOSURE
    assert error_of(await approve(ann, batch_id, "Hello"))[::2] == (422, "bubbles[0]")
    assert (await approve(ann, batch_id, DISCLOSURE, "Hello")).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"bubbles": [], "seen_revision": 1, "seen_draft": None}, "bubbles"),
        ({"bubbles": ["x"] * 11, "seen_revision": 1, "seen_draft": None}, "bubbles"),
        ({"bubbles": ["x", "y" * 4097], "seen_revision": 1, "seen_draft": None}, "bubbles.1"),
        ({"bubbles": ["x", "😀" * 2049], "seen_revision": 1, "seen_draft": None}, "bubbles[1]"),
        ({"bubbles": ["x", "  "], "seen_revision": 1, "seen_draft": None}, "bubbles[1]"),
        ({"bubbles": ["x"], "seen_revision": -1, "seen_draft": None}, "seen_revision"),
        ({"bubbles": ["x"], "seen_revision": 2**63, "seen_draft": None}, "seen_revision"),
        ({"bubbles": ["x"], "seen_draft": None}, "seen_revision"),
        ({"bubbles": ["x"], "seen_revision": 1}, "seen_draft"),
        ({"bubbles": ["x"], "seen_revision": 1, "seen_draft": 0}, "seen_draft"),
        ({"bubbles": ["x"], "seen_revision": 1, "seen_draft": None, "approve_all": True}, "approve_all"),
        ({"bubbles": "x", "seen_revision": 1, "seen_draft": None}, "bubbles"),
    ],
)
async def test_a_bad_reply_is_refused_with_its_field(
    house: DeskHouse, ann: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    batch_id = await house.item("Ana", "hello")
    answer = await ann.post(f"{API}/items/{batch_id}/approve", json=body)
    assert error_of(answer) == (422, "invalid_input", field)
    assert await house.state(batch_id) is BatchState.DRAFTED


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
async def test_what_no_database_can_hold_is_refused(house: DeskHouse, ann: httpx.AsyncClient, text: str) -> None:
    import json

    batch_id = await house.item("Ana", "hello")
    body = json.dumps({"bubbles": [text], "seen_revision": 1, "seen_draft": None}).encode()
    headers = {"Content-Type": "application/json"}
    assert (await ann.post(f"{API}/items/{batch_id}/approve", content=body, headers=headers)).status_code == 422


async def test_a_megabyte_is_too_much(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello")
    assert (await approve(ann, batch_id, "x" * 1_000_000, revision=1)).status_code == 413


async def test_a_rejected_item_leaves_the_queue_with_its_reason(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello")
    done = await ann.post(f"{API}/items/{batch_id}/reject", json={"reason": " spam ", "seen_revision": 1})
    assert done.json() == {"batch_id": batch_id, "state": "rejected"}
    decisions = (await ann.get(f"{API}/items/{batch_id}")).json()["decisions"]
    assert [(one["decision"], one["reason"], one["account_name"]) for one in decisions] == [("reject", "spam", "ann")]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
async def test_a_rejection_needs_a_reason(house: DeskHouse, ann: httpx.AsyncClient, reason: str) -> None:
    batch_id = await house.item("Ana", "hello")
    answer = await ann.post(f"{API}/items/{batch_id}/reject", json={"reason": reason, "seen_revision": 1})
    assert error_of(answer) == (422, "invalid_input", "reason")


async def test_a_new_draft_is_asked_for(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello")
    assert (await ann.post(f"{API}/items/{batch_id}/redraft", json={})).json()["state"] == "sealed"
    assert house.wanted_drafts == [batch_id]


async def test_parking_takes_an_item_aside_until_it_is_taken_up(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello")
    assert (await ann.post(f"{API}/items/{batch_id}/park", json={"reason": "later"})).json()["state"] == "parked"
    parked = (await ann.get(f"{API}/queue", params={"tab": "parked"})).json()
    assert [(item["batch_id"], item["parked_reason"]) for item in parked["items"]] == [(batch_id, "later")]
    assert parked["waiting"] == 0
    resumed = await ann.post(f"{API}/items/{batch_id}/unpark", json={"resolution": "resume"})
    assert resumed.json()["state"] == "drafted"
    wrong = await ann.post(f"{API}/items/{batch_id}/unpark", json={"resolution": "forget"})
    assert error_of(wrong) == (422, "invalid_input", "resolution")


async def test_the_nearest_saved_reply_comes_first(ann: httpx.AsyncClient) -> None:
    all_of_them = (await ann.get(f"{API}/saved-replies")).json()
    assert all_of_them["problem"] is None
    assert all(reply["score"] is None for reply in all_of_them["replies"])
    near = (await ann.get(f"{API}/saved-replies", params={"near": "where is my order?"})).json()["replies"]
    assert near[0]["title"] == "Where is my order"
    assert [reply["score"] for reply in near] == sorted((reply["score"] for reply in near), reverse=True)
    assert (await ann.get(f"{API}/saved-replies", params={"near": "x" * 501})).status_code == 422


async def test_sending_is_paused_and_resumed_with_a_banner_on_every_page(
    house: DeskHouse, ann: httpx.AsyncClient
) -> None:
    body = {"activity": "sending", "reason": "a <b>bad</b> day"}
    for _ in range(2):
        paused = (await ann.post(f"{API}/pauses", json=body)).json()["pauses"]
        assert [(one["activity"], one["telegram_account_id"], one["reason"]) for one in paused] == [
            ("sending", None, "a <b>bad</b> day")
        ]
    for path in ("/desk", "/sandbox", "/me"):
        text = (await ann.get(path, headers={"Accept": "text/html"})).text
        assert "Sending is paused" in text
        assert "a &lt;b&gt;bad&lt;/b&gt; day" in text
    assert (await ann.get(f"{API}/pauses")).json()["pauses"] == paused
    resumed = await ann.delete(f"{API}/pauses", params={"activity": "sending"})
    assert resumed.json() == {"pauses": []}
    assert "Sending is paused" not in (await ann.get("/desk")).text


async def test_a_pause_names_what_and_whose(house: DeskHouse, ann: httpx.AsyncClient, as_person: As) -> None:
    unknown = {"activity": "drafting", "reason": "x", "telegram_account_id": "nobody"}
    assert error_of(await ann.post(f"{API}/pauses", json=unknown))[0] == 404
    assert error_of(await ann.post(f"{API}/pauses", json={"activity": "thinking", "reason": "x"}))[2] == "activity"
    one = {"activity": "drafting", "reason": "x", "telegram_account_id": "sandbox"}
    assert len((await ann.post(f"{API}/pauses", json=one)).json()["pauses"]) == 1
    viewer = await as_person("vera", Role.VIEWER)
    assert (await viewer.post(f"{API}/pauses", json=one)).status_code == 403
    assert (await viewer.delete(f"{API}/pauses", params={"activity": "drafting"})).status_code == 403
    assert len((await viewer.get(f"{API}/pauses")).json()["pauses"]) == 1


async def test_every_route_says_what_it_does_and_how_it_refuses(ann: httpx.AsyncClient) -> None:
    paths = (await ann.get("/api/openapi.json")).json()["paths"]
    routes = {
        (method, path): described
        for path, methods in paths.items()
        if path.startswith((API, "/api/v1/live", "/api/v1/sandbox"))
        for method, described in methods.items()
    }
    assert len(routes) >= 22
    for route, described in routes.items():
        assert described["summary"], route
        assert described["description"], route
        assert {"401", "403", "404", "409", "413", "422"} <= set(described["responses"]), route


async def test_a_draft_that_came_since_is_looked_at_before_approval(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    seen = (await ann.get(f"{API}/items/{batch_id}")).json()["draft"]["id"]
    await ann.post(f"{API}/items/{batch_id}/redraft", json={})
    await house.drafts(batch_id, "Hi Ana")
    status, _, _ = error_of(refusal := await approve(ann, batch_id, "Hi Ana", seen_draft=seen))
    assert (status, refusal.json()["error"]["message"]) == (409, "there is a new draft")
    assert await house.outbox(batch_id) == []
    assert (await approve(ann, batch_id, "Hi Ana")).status_code == 200
