"""What `monitoring/` holds, and the names that its PromQL uses."""

import importlib
import json
import pkgutil
import re
import runpy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from promql_parser import Expr, MatchOp, VectorSelector

import nadia
from nadia.llm.metrics import start_at_zero
from nadia.metrics import REGISTRY

ROOT = Path(__file__).resolve().parents[2]
MONITORING = ROOT / "monitoring"
RULE_FILES = ("alert_rules.yml", "more_alert_rules.yml")


@dataclass(frozen=True)
class Rule:
    """An alert as its file declares it."""

    name: str
    group: str
    file: str
    declared: Mapping[str, Any]

    @property
    def expr(self) -> str:
        return str(self.declared["expr"])


@cache
def rules() -> tuple[Rule, ...]:
    """Every alert, in the order of the files."""
    return tuple(
        Rule(declared["alert"], group["name"], file, declared)
        for file in RULE_FILES
        for group in yaml.safe_load((MONITORING / file).read_text(encoding="utf-8"))["groups"]
        for declared in group["rules"]
    )


@cache
def dashboard() -> dict[str, Any]:
    """The dashboard as it is committed."""
    path = MONITORING / "grafana" / "dashboards" / "nadia-overview.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def written_dashboard() -> str:
    """The dashboard as the generator writes it now."""
    build: Callable[[], str] = runpy.run_path(str(MONITORING / "grafana" / "generate.py"))["build"]
    return build()


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels without the headings of rows."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    """Every query of the dashboard, with the title of its panel."""
    annotations = [
        (annotation["name"], annotation["expr"])
        for annotation in dashboard()["annotations"]["list"]
        if "expr" in annotation
    ]
    return [(panel["title"], target["expr"]) for panel in panels() for target in panel["targets"]] + annotations


def filled_in(
    query: str, *, compare: str = "none", job: str = "nadia-.+", role: str = ".*", instance: str = ".*"
) -> str:
    """Put values in the place of the dashboard's variables, as Grafana does."""
    values = {"job": job, "role": role, "instance": instance, "compare": compare, "__rate_interval": "1m"}
    filled = re.sub(r"\$(\w+)", lambda found: values[found[1]], query)
    assert "$" not in filled, filled
    return filled


def selectors(expr: str) -> Iterator[VectorSelector]:
    """Yield every selector of an expression."""
    found: list[VectorSelector] = []

    def visit(node: Expr) -> bool:
        if isinstance(node, VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expr), visit)
    return iter(found)


@cache
def exported() -> Mapping[str, tuple[frozenset[str], Mapping[str, frozenset[str]]]]:
    """What NADIA's processes export: of each series its labels, and the values of these that are known beforehand."""
    for module in pkgutil.walk_packages(nadia.__path__, "nadia."):
        if module.name.endswith(".metrics"):
            importlib.import_module(module.name)
    start_at_zero(["a-model-of-the-tests"])
    found: dict[str, tuple[frozenset[str], Mapping[str, frozenset[str]]]] = {}
    for family in REGISTRY.collect():
        collector = REGISTRY._names_to_collectors.get(
            f"{family.name}_total" if family.type == "counter" else family.name
        )
        labels = frozenset(getattr(collector, "_labelnames", ()))
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        for suffix in suffixes:
            name = family.name + suffix
            values = {
                label: frozenset(sample.labels[label] for sample in family.samples if label in sample.labels)
                for label in labels
            }
            found[name] = (labels | ({"le"} if suffix == "_bucket" else set()), values)
    return found


def alternatives(matcher: Any) -> list[str]:
    """Return the values that a matcher names."""
    if matcher.op in (MatchOp.Re, MatchOp.NotRe):
        return [str(value) for value in matcher.value.split("|")]
    return [str(matcher.value)]
