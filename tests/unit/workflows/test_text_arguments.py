"""Texts that PostgreSQL cannot take are refused before a workflow begins, with the argument named."""

import pytest
from pydantic import ValidationError

from nadia.workflows.registry import WORKFLOWS, workflow_class

TEXTS = [
    (name, field, as_given)
    for name in WORKFLOWS
    for field, described in workflow_class(name).arguments.model_fields.items()
    for as_given in (["a\0b"] if "tuple" in str(described.annotation) else "a\0b",)
    if any(kind in str(described.annotation) for kind in ("str", "Path"))
]


@pytest.mark.parametrize("workflow, field, given", TEXTS)
def test_a_nul_character_is_refused(workflow: str, field: str, given: object) -> None:
    with pytest.raises(ValidationError) as refused:
        workflow_class(workflow).arguments.model_validate({field: given})
    assert refused.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize("workflow, field", [("debug-user", "who"), ("find-error", "pattern"), ("find-error", "log")])
def test_the_refusal_says_what_is_wrong_and_what_to_do(workflow: str, field: str) -> None:
    (given,) = [given for name, each, given in TEXTS if (name, each) == (workflow, field)]
    with pytest.raises(ValidationError, match=r"NUL character.*leave that out"):
        workflow_class(workflow).arguments.model_validate({field: given})
