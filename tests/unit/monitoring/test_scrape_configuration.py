"""prometheus.yml asks whom it should, as often as it should."""

from typing import Any

import yaml

from nadia.cli.run import Role
from support.monitoring import MONITORING, RULE_FILES


def configuration() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    return loaded


def targets() -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = yaml.safe_load((MONITORING / "targets.yml").read_text(encoding="utf-8"))
    return loaded


def test_there_are_the_eight_jobs() -> None:
    assert [job["job_name"] for job in configuration()["scrape_configs"]] == [
        "prometheus",
        "nadia-api",
        "nadia-bot",
        "postgres",
        "redis",
        "node",
        "nginx",
        "cadvisor",
    ]


def test_applications_are_asked_every_15_seconds_and_exporters_every_30() -> None:
    config = configuration()
    every = {job["job_name"]: job.get("scrape_interval", "15s") for job in config["scrape_configs"]}

    assert config["global"]["scrape_interval"] == "15s"
    assert config["global"]["scrape_timeout"] == "10s"
    assert {job for job, interval in every.items() if interval == "15s"} == {"prometheus", "nadia-api", "nadia-bot"}
    assert set(every.values()) == {"15s", "30s"}


def test_what_leaves_prometheus_says_where_it_is_from() -> None:
    assert set(configuration()["global"]["external_labels"]) == {"cluster", "environment", "nadia_url"}


def test_every_target_belongs_to_a_job_and_every_job_keeps_its_own() -> None:
    jobs = configuration()["scrape_configs"]

    assert {group["labels"]["job"] for group in targets()} == {job["job_name"] for job in jobs}
    for job in jobs:
        assert job["relabel_configs"][0] == {"source_labels": ["job"], "regex": job["job_name"], "action": "keep"}
        assert job["file_sd_configs"] == [{"files": ["targets.yml"]}]


def test_each_role_is_a_target_and_says_which_it_is() -> None:
    ours = [group["labels"] for group in targets() if group["labels"]["job"].startswith("nadia-")]

    assert {labels["role"] for labels in ours} == set(Role)
    assert {labels["role"] for labels in ours if labels["job"] == "nadia-bot"} == set(Role) - {Role.API}


def test_the_shipped_targets_are_on_this_machine_and_none_is_asked_twice() -> None:
    addresses = [address for group in targets() for address in group["targets"]]

    assert all(address.startswith("127.0.0.1:") for address in addresses)
    assert len(set(addresses)) == len(addresses)


def test_both_files_of_rules_are_read() -> None:
    assert configuration()["rule_files"] == list(RULE_FILES)
