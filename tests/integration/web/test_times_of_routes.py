"""How long each route takes to answer, by names that strangers cannot make more of."""

import httpx

from nadia.metrics import REGISTRY
from support.web_fixtures import Visitor


def answered(method: str, route: str) -> float:
    labels = {"method": method, "route": route}
    return REGISTRY.get_sample_value("nadia_web_route_seconds_count", labels) or 0


def routes() -> set[str]:
    (family,) = (family for family in REGISTRY.collect() if family.name == "nadia_web_route_seconds")
    return {sample.labels["route"] for sample in family.samples}


async def test_a_route_is_named_by_its_template_and_not_by_what_was_asked_for(as_admin: httpx.AsyncClient) -> None:
    before = answered("GET", "/accounts"), answered("GET", "/api/v1/accounts/{account_id}/tokens")
    await as_admin.get("/accounts?text=something")
    for number in range(3):
        await as_admin.get(f"/api/v1/accounts/{number + 1_000}/tokens")
    await as_admin.get("/static/0123456789/app.css")
    assert answered("GET", "/accounts") == before[0] + 1
    assert answered("GET", "/api/v1/accounts/{account_id}/tokens") == before[1] + 3
    assert answered("GET", "/static") >= 1
    assert not [route for route in routes() if "1000" in route or "something" in route or "0123456789" in route]


async def test_strangers_paths_and_methods_make_no_new_names(visitor: Visitor) -> None:
    client = visitor()
    before = answered("GET", "none"), answered("other", "none")
    for number in range(20):
        await client.get(f"/nowhere/{number}")
    await client.request("BREW", "/nowhere")
    assert answered("GET", "none") == before[0] + 20
    assert answered("other", "none") == before[1] + 1
    assert answered("BREW", "none") == 0


async def test_what_is_refused_before_a_route_is_found_is_counted_too(visitor: Visitor) -> None:
    before = answered("GET", "none")
    answer = await visitor().get("/accounts", headers={"Host": "evil.example.org"})
    assert answer.status_code == 421
    assert answered("GET", "none") == before + 1
