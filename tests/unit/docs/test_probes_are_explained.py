"""Every probe has its section in docs/operations/health.md, and its name is a link that a report can point to."""

import re
from pathlib import Path

import pytest

from nadia.app.endpoints import Endpoints
from nadia.app.health import probes
from nadia.health.checker import GROUPS
from nadia.health.probe import Probe
from nadia.health.probes.cpu import CountsInMemory
from nadia.postgres.brief_use import BriefUse
from nadia.redis.bare import BareRedis
from nadia.settings import Config

PAGE = Path(__file__).parents[3] / "docs" / "operations" / "health.md"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> list[Probe]:
    """Every probe of the health check."""
    home = tmp_path_factory.mktemp("home")
    config = Config.from_env({"NADIA_HOME": str(home), "DATABASE_URL": "postgresql://u@h/d", "REDIS_URL": "redis://h"})
    endpoints = Endpoints.of(config)
    postgres = BriefUse(dsn=endpoints.postgres, application_name="test", statement_timeout_seconds=1)
    redis = BareRedis(endpoints.redis)
    return probes(config, endpoints, connect=postgres.connection, redis=redis, counts=CountsInMemory())


def test_each_probe_has_a_section_and_each_section_a_probe(known: list[Probe]) -> None:
    sections = set(re.findall(r"^## ([a-z-]+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))

    assert sections == {probe.id for probe in known}


def test_probes_are_named_once_for_machines_and_once_for_people(known: list[Probe]) -> None:
    assert len({probe.id for probe in known}) == len(known)
    assert len({probe.title for probe in known}) == len(known)
    for probe in known:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", probe.id), probe.id
        assert probe.group in GROUPS
        assert probe.title[0].isupper()
        assert len(probe.title) <= 40, "wider is no column of a terminal"
