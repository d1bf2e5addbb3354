"""The alerts are built on what exists, and each is explained."""

import re
from collections import Counter

import pytest
import yaml

from nadia.cli.reference import command_page
from support.exporters import PROCESS, READ
from support.monitoring import MONITORING, ROOT, Rule, alternatives, exported, filled_in, queries, rules, selectors

_SIXTEEN = [rule for rule in rules() if rule.file == "alert_rules.yml"]
_EXPRESSIONS = [(rule.name, rule.expr) for rule in rules()] + [(title, filled_in(query)) for title, query in queries()]
_FOREIGN = frozenset[str]().union(*READ.values()) | PROCESS
_TARGET_LABELS = {"job", "instance", "role", "cluster", "environment"}


def page() -> str:
    return (ROOT / "docs" / "operations" / "alerts.md").read_text(encoding="utf-8")


def section(rule: Rule) -> str:
    """What the page says of an alert."""
    found = re.search(rf"^### {rule.name}\n(.*?)(?=^##|\Z)", page(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/operations/alerts.md has no section {rule.name}"
    return found[1]


def test_there_are_sixteen_alerts_in_the_four_groups() -> None:
    assert Counter(rule.group for rule in _SIXTEEN) == {
        "system_health": 3,
        "application_health": 4,
        "infrastructure_health": 6,
        "business_metrics": 3,
    }


def test_no_two_alerts_have_one_name() -> None:
    assert [name for name, count in Counter(rule.name for rule in rules()).items() if count > 1] == []


@pytest.mark.parametrize(("where", "expr"), _EXPRESSIONS)
def test_every_metric_of_an_expression_is_exported(where: str, expr: str) -> None:
    unknown = [each.name for each in selectors(expr) if each.name not in exported() and each.name not in _FOREIGN]

    assert unknown == [], f"{where}: nobody exports these"


@pytest.mark.parametrize(("where", "expr"), _EXPRESSIONS)
def test_every_label_of_an_expression_is_one_that_the_metric_has(where: str, expr: str) -> None:
    """A condition on a value that never occurs holds never, or always: either way it says nothing."""
    for each in selectors(expr):
        if each.name is None or each.name not in exported():
            continue
        labels, values = exported()[each.name]
        for matcher in each.matchers.matchers:
            if matcher.name in _TARGET_LABELS:
                continue
            assert matcher.name in labels, f"{where}: {each.name} has no label {matcher.name}"
            if known := values.get(matcher.name):
                assert set(alternatives(matcher)) <= known, f"{where}: {each.name}, {matcher.name}"


def test_a_wrong_name_or_label_would_be_found() -> None:
    """The two tests above do find something."""
    (wrong,) = selectors('nadia_review_queue_items{stat=~"sealed|draftet"}')

    labels, values = exported()[str(wrong.name)]
    assert wrong.matchers.matchers[0].name not in labels
    assert not set(alternatives(wrong.matchers.matchers[0])) <= values["state"]
    assert "nadia_review_queue_item" not in exported()


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_an_alert_says_how_bad_it_is_what_it_is_and_where_it_is_explained(rule: Rule) -> None:
    annotations = rule.declared["annotations"]

    assert rule.declared["labels"]["severity"] in (("none",) if rule.name == "Watchdog" else ("warning", "critical"))
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == "{{ $externalLabels.nadia_url }}/help/alerts#" + rule.name.lower()
    assert len(annotations["summary"]) < 80
    assert not annotations["summary"].endswith(".")
    assert annotations["description"].endswith(".")


@pytest.mark.parametrize("rule", _SIXTEEN, ids=lambda rule: rule.name)
def test_the_sixteen_watch_for_one_to_five_minutes(rule: Rule) -> None:
    assert rule.declared["for"] in ("1m", "2m", "5m")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_the_page_says_what_an_alert_means_and_what_to_do(rule: Rule) -> None:
    text = section(rule)

    for part in ("**Means**", "**Customers**", "**Look**", "**Do**", "**Silence**"):
        assert text.count(part) == 1, f"{rule.name}: {part}"


def test_the_page_explains_no_alert_that_does_not_exist() -> None:
    assert set(re.findall(r"^### (\w+)$", page(), re.MULTILINE)) == {rule.name for rule in rules()}


def test_commands_that_the_page_names_exist() -> None:
    known = set(re.findall(r"^## `(nadia [^`]+)`", command_page(), re.MULTILINE))
    named = set(re.findall(r"`(nadia [a-z][a-z -]*[a-z])", page()))

    assert named
    assert [name for name in named if not any(name == each or name.startswith(each + " ") for each in known)] == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_each_alert_is_tried_firing_and_not_firing(rule: Rule) -> None:
    cases = [
        case
        for path in (MONITORING / "tests").glob("*.yml")
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for case in test.get("alert_rule_test", [])
        if case["alertname"] == rule.name
    ]

    assert any(case["exp_alerts"] for case in cases), "no case in which it fires"
    assert rule.name == "Watchdog" or any(not case["exp_alerts"] for case in cases), "no case in which it does not"
