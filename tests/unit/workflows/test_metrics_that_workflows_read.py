"""The metrics whose history workflows read are counted by somebody, with the labels that they are read by."""

from prometheus_client import Histogram

import nadia.delivery.metrics
import nadia.drafting.metrics
import nadia.inbound.metrics
import nadia.llm.metrics
import nadia.pacing.metrics
import nadia.postgres.metrics
import nadia.web.metrics
from nadia.workflows import slow_api
from nadia.workflows.perf_baseline import STAGES
from nadia.workflows.slowness import statements

METRICS = {
    metric._name: metric
    for module in (
        nadia.delivery.metrics,
        nadia.drafting.metrics,
        nadia.inbound.metrics,
        nadia.llm.metrics,
        nadia.pacing.metrics,
        nadia.postgres.metrics,
        nadia.web.metrics,
    )
    for metric in vars(module).values()
    if isinstance(metric, Histogram)
}


def test_each_stage_is_timed_by_its_domain() -> None:
    assert set(STAGES.values()) <= METRICS.keys()


def test_endpoints_statements_and_waits_for_connections_are_timed() -> None:
    assert METRICS[slow_api.ROUTES]._labelnames == ("method", "route")
    assert METRICS[statements.METRIC]._labelnames == ("statement",)
    assert METRICS[slow_api.POOL_WAITS]._labelnames == ()
