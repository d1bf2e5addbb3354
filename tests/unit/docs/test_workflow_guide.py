"""docs/guides/workflows.md has a section for every workflow, with its question."""

from pathlib import Path

import pytest

from nadia.workflows.registry import WORKFLOWS, workflow_class

GUIDE = (Path(__file__).resolve().parents[3] / "docs" / "guides" / "workflows.md").read_text(encoding="utf-8")
SECTIONS = {section.splitlines()[0]: section for section in GUIDE.split("\n## ")[1:]}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_workflow_has_a_section_with_its_question_and_an_example(name: str) -> None:
    section = SECTIONS[name]

    assert workflow_class(name).question in " ".join(section.split())
    assert f"$ nadia workflow {name}" in section


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_table_names_who_may_ask(name: str) -> None:
    workflow = workflow_class(name)

    assert f"| [{name}](#{name}) | {workflow.question} | {workflow.role} |" in GUIDE


def test_there_are_no_sections_of_workflows_that_are_gone() -> None:
    assert set(SECTIONS) == set(WORKFLOWS)
