"""Write the Grafana dashboard from the metrics that NADIA declares: run by `make docs`.

A query names a metric by its declaration, so that one that is renamed or gone fails here; units come from the metric's
name, descriptions from its documentation. `tests/unit/monitoring` fails where the file differs from what this writes.
"""

import importlib
import json
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    StackingConfig,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.cog import builder, variants
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    DataSourceRef,
    LegendDisplayMode,
    LegendPlacement,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.units import BytesIEC, Dollars, PercentUnit, Seconds, Short

import nadia
from nadia.metrics import REGISTRY

PLACE = Path(__file__).resolve().parent / "dashboards" / "nadia-overview.json"

_SELECTED = 'job=~"$job",role=~"$role",instance=~"$instance"'
_COMPARED = "{{role}}{{instance}}{{job}}"  # those that a query is not split by are absent, and show as nothing
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_UNITS = {"_seconds": Seconds, "_bytes": BytesIEC, "_usd": Dollars}
_WIDTH, _STAT_HEIGHT, _HEIGHT = 24, 4, 8


@cache
def documentation() -> dict[str, str]:
    """Return what each of NADIA's metrics means, by the name without ``_total``."""
    for module in pkgutil.walk_packages(nadia.__path__, "nadia."):
        if module.name.endswith(".metrics"):
            importlib.import_module(module.name)
    return {family.name: family.documentation for family in REGISTRY.collect()}


@dataclass(frozen=True)
class Query:
    """One expression of a panel; ``metric`` is None where it is no metric of NADIA's own."""

    expr: str
    legend: str
    metric: str | None = None


@dataclass(frozen=True)
class Panel:
    """What a panel shows; the unit is that of its first metric unless it is given."""

    title: str
    queries: Sequence[Query]
    unit: str | None = None
    says: str = ""
    red_from: float | None = None
    stacked: bool = False

    @property
    def description(self) -> str:
        """What it shows, in the words of the metrics' own documentation."""
        metrics = dict.fromkeys(query.metric for query in self.queries if query.metric)
        documented = (f"`{name}`: {documentation()[name]}" for name in metrics)
        return "\n\n".join([*([self.says] if self.says else []), *documented])

    @property
    def shown_unit(self) -> str:
        """Grafana's name of the unit."""
        stem = self.queries[0].metric or ""
        return self.unit or next((unit for suffix, unit in _UNITS.items() if stem.endswith(suffix)), Short)


def _series(name: str, labels: str = "", *, suffix: str = "") -> str:
    if name not in documentation():
        raise KeyError(f"no metric is called {name}")
    return f"{name}{suffix}{{{_SELECTED}{',' if labels else ''}{labels}}}"


def _legend(legend: str, by: str) -> str:
    return f"{legend} {_COMPARED}" if by == "$compare" else legend


def rate(
    name: str, legend: str, labels: str = "", *, by: str = "$compare", per: int = 1, divided_by: str = ""
) -> Query:
    """Show how fast a counter rises, of all processes together or by what is compared, in ``per`` seconds."""
    times = f" * {per}" if per > 1 else ""
    expr = f"sum by ({by}) (rate({_series(name, labels, suffix='_total')}[$__rate_interval])){times}{divided_by}"
    return Query(expr, _legend(legend, by), name)


def share(name: str, legend: str, labels: str) -> Query:
    """Show which share of a counter's events has these labels."""
    whole = f" / sum by ($compare) (rate({_series(name, suffix='_total')}[$__rate_interval]))"
    return rate(name, legend, labels, divided_by=whole)


def level(name: str, legend: str, *, by: str = "$compare", of: str = "max") -> Query:
    """Show a gauge. What every process sees alike is `max`; what each has for itself is `sum`."""
    expr = f"{of} by ({by}) ({_series(name)})"
    return Query(expr, _legend(legend, by), name)


def p95(name: str, legend: str, *, by: str = "$compare") -> Query:
    """Show a histogram's 95th percentile."""
    buckets = f"sum by (le, {by}) (rate({_series(name, suffix='_bucket')}[$__rate_interval]))"
    return Query(f"histogram_quantile(0.95, {buckets})", _legend(legend, by), name)


def within(name: str, legend: str, duration: str) -> Query:
    """Show how much a counter rose in the last while."""
    return Query(f"sum(increase({_series(name, suffix='_total')}[{duration}]))", legend, name)


def waiting_for_a_person() -> Query:
    """Show the items of all states in which a person has to do something."""
    items = _series("nadia_review_queue_items", 'state=~"sealed|drafted|in_review"')
    return Query(f"sum(max by (state) ({items}))", "items", "nadia_review_queue_items")


def slowest(name: str, legend: str, *, by: str) -> Query:
    """Show the few of a histogram's series that take longest."""
    query = p95(name, legend, by=by)
    return Query(f"topk(8, {query.expr})", query.legend, query.metric)


AT_A_GLANCE = (
    Panel(
        "Processes up",
        [Query(f"sum(up{{{_SELECTED}}}) / count(up{{{_SELECTED}}})", "up")],
        unit=PercentUnit,
        says="Share of NADIA's processes that answer Prometheus.",
    ),
    Panel(
        "Alerts that fire",
        [Query('count(ALERTS{alertstate="firing",alertname!="Watchdog"}) or vector(0)', "firing")],
        says="Alerts of Prometheus that fire now.",
        red_from=1,
    ),
    Panel("Wait for a person", [waiting_for_a_person()], red_from=51),
    Panel("Longest wait for a person", [level("nadia_review_oldest_seconds", "oldest")], red_from=3600),
    Panel("Sent within an hour", [within("nadia_delivery_bubbles_sent", "sent", "1h")]),
    Panel("Cost within a day", [within("nadia_llm_cost_usd", "cost", "1d")]),
)

ROWS: dict[str, Sequence[Panel]] = {
    "Messages": (
        Panel(
            "Message processing, per minute",
            [
                rate("nadia_inbound_events", "received", 'event="message",outcome="recorded"', per=60),
                rate("nadia_pacing_sealed_messages", "in batches", per=60),
                rate("nadia_drafting_drafts", "drafted", 'outcome="drafted"', per=60),
                rate("nadia_review_decisions", "decided", per=60),
                rate("nadia_delivery_bubbles_sent", "sent", per=60),
            ],
        ),
        Panel(
            "Stage latencies, 95th percentile",
            [
                p95("nadia_inbound_intake_seconds", "intake"),
                p95("nadia_pacing_seal_seconds", "sealing"),
                p95("nadia_drafting_wait_seconds", "wait for a draft"),
                p95("nadia_drafting_draft_seconds", "draft"),
                p95("nadia_review_decision_seconds", "review"),
                p95("nadia_delivery_approval_to_sent_seconds", "delivery"),
            ],
        ),
        Panel(
            "Queues",
            [
                level("nadia_pacing_open_bursts", "bursts"),
                level("nadia_wal_entries", "for drafting: {{state}}", by="state"),
                level("nadia_review_queue_items", "{{state}}", by="state"),
            ],
            says="What waits, by where it is; every process sees all of it.",
        ),
        Panel(
            "Longest waits",
            [
                level("nadia_wal_oldest_seconds", "for a draft"),
                level("nadia_review_oldest_seconds", "for a person"),
                level("nadia_outbox_oldest_seconds", "to be sent"),
            ],
        ),
        Panel(
            "Delivery, per minute",
            [
                rate("nadia_delivery_bubbles_sent", "sent", per=60),
                rate("nadia_delivery_failures", "{{reason}}", by="reason", per=60),
            ],
        ),
        Panel(
            "Decisions of reviewers, per hour",
            [rate("nadia_review_decisions", "{{decision}}", by="decision", per=3600)],
            stacked=True,
        ),
    ),
    "Models": (
        Panel(
            "Model calls, per minute", [rate("nadia_llm_calls", "{{model}} {{outcome}}", by="model, outcome", per=60)]
        ),
        Panel("Model answers, 95th percentile", [p95("nadia_llm_call_seconds", "{{model}}", by="model")]),
        Panel("Cost, per hour", [rate("nadia_llm_cost_usd", "{{model}}", by="model", per=3600)], stacked=True),
        Panel(
            "Tokens, per minute", [rate("nadia_llm_tokens", "{{model}} {{direction}}", by="model, direction", per=60)]
        ),
    ),
    "Pages and errors": (
        Panel("Requests, per second", [rate("nadia_web_requests", "{{kind}} {{status}}", by="kind, status")]),
        Panel(
            "Slowest routes, 95th percentile",
            [slowest("nadia_web_route_seconds", "{{method}} {{route}}", by="method, route")],
        ),
        Panel(
            "Errors, per minute",
            [
                rate("nadia_web_requests", "pages and API", 'status="5xx"', per=60),
                rate("nadia_drafting_drafts", "drafting", 'outcome=~"failed|parked"', per=60),
                rate("nadia_delivery_failures", "delivery", 'reason=~"refused|ambiguous|internal"', per=60),
                rate("nadia_llm_calls", "models", 'outcome!~"ok|no_match"', per=60),
                rate("nadia_app_part_restarts", "parts begun again", per=60),
            ],
        ),
        Panel(
            "Answered from caches",
            [
                share("nadia_telegram_entity_lookups", "peers", 'result=~"memory|store|shared"'),
                share("nadia_memory_reads", "conversations", 'answered_by="redis"'),
                share("nadia_quarantine_status_lookups", "silences", 'answered_by="cache"'),
            ],
            unit=PercentUnit,
            says="Share of questions that needed nobody else.",
        ),
    ),
    "Resources": (
        Panel(
            "Processors in use",
            [
                Query(
                    f"sum by ($compare) (rate(process_cpu_seconds_total{{{_SELECTED}}}[$__rate_interval]))",
                    f"NADIA {_COMPARED}",
                ),
                Query(
                    'sum by (instance) (rate(node_cpu_seconds_total{mode!="idle"}[$__rate_interval]))',
                    "machine {{instance}}",
                ),
            ],
            says="Seconds of processor time in a second, of NADIA's processes and of everything on the machine.",
        ),
        Panel(
            "Memory in use",
            [
                Query(f"sum by ($compare) (process_resident_memory_bytes{{{_SELECTED}}})", f"NADIA {_COMPARED}"),
                Query("node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes", "machine {{instance}}"),
            ],
            unit=BytesIEC,
            says="Resident memory of NADIA's processes, and what the whole machine could not give away at once.",
        ),
        Panel(
            "Disks in use",
            [
                Query(
                    '1 - node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs|squashfs|fuse.*"}'
                    " / node_filesystem_size_bytes",
                    "{{instance}} {{mountpoint}}",
                )
            ],
            unit=PercentUnit,
            says="Share of each disk that is in use; at 90 % there is an alert.",
        ),
        Panel(
            "Waits within NADIA, 95th percentile",
            [
                p95("nadia_app_loop_lag_seconds", "event loop"),
                p95("nadia_postgres_pool_wait_seconds", "a connection to PostgreSQL"),
                p95("nadia_redis_round_trip_seconds", "an answer of Redis"),
            ],
        ),
    ),
    "Databases": (
        Panel(
            "PostgreSQL statements, 95th percentile",
            [slowest("nadia_postgres_statement_seconds", "{{statement}}", by="statement")],
        ),
        Panel(
            "PostgreSQL connections",
            [
                Query("sum by (instance) (pg_stat_database_numbackends)", "in use {{instance}}"),
                Query("max by (instance) (pg_settings_max_connections)", "limit {{instance}}"),
                level("nadia_postgres_pool_connections_in_use", "NADIA", of="sum"),
            ],
        ),
        Panel(
            "Redis memory",
            [
                Query("redis_memory_used_bytes", "in use {{instance}}"),
                Query("redis_memory_max_bytes > 0", "limit {{instance}}"),
            ],
            unit=BytesIEC,
            says="At its limit Redis refuses writes; above 200 MB there is an alert.",
        ),
        Panel(
            "Redis commands, per second",
            [
                Query("rate(redis_commands_processed_total[$__rate_interval])", "commands {{instance}}"),
                Query("redis_connected_clients", "clients {{instance}}"),
            ],
            says="Commands answered in a second, and clients connected.",
        ),
    ),
    "Recovery and quarantine": (
        Panel(
            "Recovery after downtime, per minute",
            [
                rate("nadia_recovery_messages", "messages {{outcome}}", by="outcome", per=60),
                rate("nadia_recovery_chats", "chats {{outcome}}", by="outcome", per=60),
                level("nadia_recovery_gap_open", "gap of {{account}}", by="account"),
            ],
        ),
        Panel(
            "Recovery runs, per hour",
            [rate("nadia_recovery_operations", "{{state}}", by="state", per=3600)],
        ),
        Panel(
            "Quarantine",
            [
                level("nadia_quarantine_silenced_people", "silenced customers"),
                level("nadia_quarantine_held_messages", "messages held"),
                rate("nadia_quarantine_messages", "{{outcome}} per hour", by="outcome", per=3600),
            ],
        ),
        Panel(
            "Scheduled checks, per hour",
            [rate("nadia_daemon_runs", "{{job}} {{outcome}}", by="job, outcome", per=3600)],
        ),
    ),
}


class _TagsTarget(variants.Dataquery):
    """Asks Grafana itself for annotations with a tag; the SDK has no type for it."""

    def to_json(self) -> dict[str, object]:
        return {"limit": 100, "matchAny": True, "tags": ["nadia-deploy"], "type": "tags"}


class _Tags(builder.Builder[variants.Dataquery]):
    def build(self) -> variants.Dataquery:
        return _TagsTarget()


def build() -> str:
    """Return the dashboard as JSON."""
    board = (
        dashboard.Dashboard("NADIA")
        .uid("nadia-overview")
        .description("How NADIA does: messages, queues, models, errors and what it stands on.")
        .tags(["nadia", "generated"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .editable()
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .annotation(_deployments())
        .annotation(_starts())
    )
    for variable in _variables():
        board.with_variable(variable)
    number, top = 0, 0
    for title, panels, height in [
        ("At a glance", AT_A_GLANCE, _STAT_HEIGHT),
        *((title, panels, _HEIGHT) for title, panels in ROWS.items()),
    ]:
        number += 1
        board.with_row(dashboard.Row(title).id(number).grid_pos(model.GridPos(h=1, w=_WIDTH, x=0, y=top)))
        top += 1
        across = len(panels) if height == _STAT_HEIGHT else 2
        for place, panel in enumerate(panels):
            number += 1
            built = _stat(panel) if height == _STAT_HEIGHT else _graph(panel)
            width = _WIDTH // across
            x, y = place % across * width, top + place // across * height
            board.with_panel(built.id(number).grid_pos(model.GridPos(h=height, w=width, x=x, y=y)))
        top += -(-len(panels) // across) * height
    return json.dumps(board.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _stat(panel: Panel) -> stat.Panel:
    built = (
        stat.Panel()
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .graph_mode(BigValueGraphMode.AREA)
        .color_mode(BigValueColorMode.VALUE)
        .title(panel.title)
        .description(panel.description)
        .datasource(_SOURCE)
        .unit(panel.shown_unit)
        .min(0)
        .thresholds(_thresholds(panel.red_from))
    )
    for target in _targets(panel):
        built.with_target(target)
    return built


def _graph(panel: Panel) -> timeseries.Panel:
    built = (
        timeseries.Panel()
        .title(panel.title)
        .description(panel.description)
        .datasource(_SOURCE)
        .unit(panel.shown_unit)
        .min(0)
        .fill_opacity(10)
        .show_points(VisibilityMode.NEVER)
        .legend(
            VizLegendOptions()
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if panel.stacked:
        built.stacking(StackingConfig().mode(StackingMode.NORMAL))
    for target in _targets(panel):
        built.with_target(target)
    return built


def _targets(panel: Panel) -> Sequence[prometheus.Dataquery]:
    return [
        prometheus.Dataquery().ref_id(letter).expr(query.expr).legend_format(query.legend).datasource(_SOURCE).range()
        for letter, query in zip("ABCDEFGH", panel.queries, strict=False)
    ]


def _thresholds(red_from: float | None) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=None, color="green")]
    if red_from is not None:
        steps.append(model.Threshold(value=red_from, color="red"))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _variables() -> Sequence[builder.Builder[model.VariableModel]]:
    """Choose what is looked at, and by which label the lines of a panel are told apart."""
    lists = [
        ("job", "Job", 'label_values(up{job=~"nadia-.+"}, job)'),
        ("role", "Role", 'label_values(up{job=~"$job"}, role)'),
        ("instance", "Instance", 'label_values(up{job=~"$job",role=~"$role"}, instance)'),
    ]
    return [
        dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"),
        *(
            dashboard.QueryVariable(name)
            .label(label)
            .datasource(_SOURCE)
            .query(query)
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(model.VariableSort.ALPHABETICAL_ASC)
            .multi(multi=True)
            .include_all(include_all=True)
            .all_value(".*" if name != "job" else "nadia-.+")
            .current(model.VariableOption(selected=True, text="All", value="$__all"))
            for name, label, query in lists
        ),
        dashboard.CustomVariable("compare")
        .label("Compare")
        .values("nothing : none,roles : role,instances : instance,jobs : job")
        .current(model.VariableOption(selected=True, text="nothing", value="none")),
    ]


def _deployments() -> dashboard.AnnotationQuery:
    """Mark what the deploy step tells Grafana of."""
    return (
        dashboard.AnnotationQuery()
        .name("Deployments")
        .datasource(DataSourceRef(type_val="grafana", uid="-- Grafana --"))
        .enable(enable=True)
        .icon_color("blue")
        .target(_Tags())
    )


def _starts() -> dashboard.AnnotationQuery:
    """Mark each start of a process, with its version: it is there although nobody told of it."""
    started = _series("nadia_app_started_timestamp_seconds")
    expr = f"{started} * 1000 * on (job, instance) group_left (version) {_series('nadia_app_info')}"
    return (
        dashboard.AnnotationQuery()
        .name("Starts")
        .datasource(_SOURCE)
        .enable(enable=True)
        .icon_color("purple")
        .expr(expr)
        .title_format("{{role}} started")
        .text_format("{{version}} at {{instance}}")
        .step("30s")
        .use_value_for_time(use_value_for_time=True)
    )


if __name__ == "__main__":
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(build(), encoding="utf-8")
    print(f"wrote {PLACE.name}")
