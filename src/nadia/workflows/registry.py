"""The workflows there are, each with the module that is imported when somebody asks for it."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from nadia.errors import NotFoundError
from nadia.workflows.workflow import Workflow

WORKFLOWS: Final[Mapping[str, str]] = {
    "health-check": "nadia.workflows.health_check:HealthCheck",
    "redis-health": "nadia.workflows.redis_health:RedisHealth",
    "db-stats": "nadia.workflows.db_stats:DbStats",
    "security-check": "nadia.workflows.security_check:SecurityCheck",
    "perf-baseline": "nadia.workflows.perf_baseline:PerfBaseline",
    "debug-user": "nadia.workflows.debug_user:DebugUser",
    "slow-api": "nadia.workflows.slow_api:SlowApi",
    "find-error": "nadia.workflows.find_error:FindError",
    "recent-changes": "nadia.workflows.recent_changes:RecentChanges",
}
"""Name to class, in the order in which people read them."""

AnyWorkflow: TypeAlias = Workflow[Any]
"""One whose arguments are known when it runs only."""


def workflow_class(name: str) -> type[AnyWorkflow]:
    """Return the class of a workflow: its question, its arguments, who may run it.

    Raises
    ------
    NotFoundError
        If there is none of that name.
    """
    if name not in WORKFLOWS:
        near = difflib.get_close_matches(name, WORKFLOWS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(WORKFLOWS)}"
        raise NotFoundError(f"there is no workflow {name!r}", hint=hint)
    module, _, class_name = WORKFLOWS[name].partition(":")
    found: type[AnyWorkflow] = getattr(importlib.import_module(module), class_name)
    return found
