"""The dashboard is the one that its generator writes, and shows what an operator looks for."""

import itertools
import re

import promql_parser
import pytest

from support.monitoring import MONITORING, dashboard, filled_in, panels, queries, written_dashboard


def test_the_committed_dashboard_is_current() -> None:
    committed = (MONITORING / "grafana" / "dashboards" / "nadia-overview.json").read_text(encoding="utf-8")

    assert committed == written_dashboard(), "run `make docs`"


def test_it_is_written_alike_each_time() -> None:
    assert written_dashboard() == written_dashboard()


@pytest.mark.parametrize(("title", "query"), queries())
@pytest.mark.parametrize("compare", ["none", "role", "instance", "job"])
def test_every_query_is_promql_whatever_is_compared(title: str, query: str, compare: str) -> None:
    assert promql_parser.parse(filled_in(query, compare=compare)) is not None


def test_it_covers_every_side_of_the_system() -> None:
    rows = [panel["title"] for panel in dashboard()["panels"] if panel["type"] == "row"]

    assert len(panels()) >= 10
    assert rows == [
        "At a glance",
        "Messages",
        "Models",
        "Pages and errors",
        "Resources",
        "Databases",
        "Recovery and quarantine",
    ]


def test_it_is_refreshed_every_thirty_seconds() -> None:
    assert dashboard()["refresh"] == "30s"


def test_instances_can_be_chosen_and_compared() -> None:
    variables = {variable["name"]: variable for variable in dashboard()["templating"]["list"]}
    ours = [query for _, query in queries() if re.search(r"\b(nadia|process)_", query)]

    assert {"datasource", "job", "role", "instance", "compare"} == set(variables)
    assert all(variables[name]["multi"] and variables[name]["includeAll"] for name in ("job", "role", "instance"))
    assert [query for query in ours if 'instance=~"$instance"' not in query] == []
    assert sum("by ($compare)" in query or "le, $compare" in query for query in ours) > 10


def test_deployments_and_starts_are_marked() -> None:
    deployments, starts = dashboard()["annotations"]["list"]

    assert deployments["target"]["tags"] == ["nadia-deploy"]
    assert deployments["datasource"]["uid"] == "-- Grafana --"
    assert starts["useValueForTime"]
    assert "nadia_app_started_timestamp_seconds" in starts["expr"]


def test_every_panel_says_what_it_shows_and_in_which_unit() -> None:
    for panel in panels():
        assert len(panel["description"]) > 20, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    everything = dashboard()["panels"]
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in everything)
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]

    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
