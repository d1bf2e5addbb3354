"""A real Prometheus that runs the repository's own configuration."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from support.exporters import until_it_answers
from support.monitoring import MONITORING, RULE_FILES
from support.ports import free_ports
from support.tools import require_tool


@dataclass(frozen=True)
class Target:
    """One line of targets.yml."""

    job: str
    address: str
    role: str | None = None


@dataclass(frozen=True)
class RunningPrometheus:
    """One that answers at a URL."""

    url: str

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now."""
        found: list[dict[str, Any]] = (await self._data("query", {"query": expr}))["result"]
        return found

    async def value(self, expr: str) -> float | None:
        """Return the value of an expression's only series; None where there is none."""
        series = await self.query(expr)
        assert len(series) <= 1, series
        return float(series[0]["value"][1]) if series else None

    async def targets(self) -> list[dict[str, Any]]:
        """Return what is asked, with how it went."""
        found: list[dict[str, Any]] = (await self._data("targets", {"state": "active"}))["activeTargets"]
        return found

    async def rules(self) -> list[dict[str, Any]]:
        """Return every rule, with whether it could be evaluated."""
        return [rule for group in (await self._data("rules", {}))["groups"] for rule in group["rules"]]

    async def until_all_answer(self, *, within: float = 30) -> None:
        """Wait until every target was asked with success."""
        async with asyncio.timeout(within):
            while not (targets := await self.targets()) or any(target["health"] != "up" for target in targets):
                await asyncio.sleep(0.1)

    async def until(self, expr: str, *, within: float = 30) -> None:
        """Wait until an expression has a series."""
        async with asyncio.timeout(within):
            while not await self.query(expr):
                await asyncio.sleep(0.1)

    async def _data(self, what: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        async with httpx2.AsyncClient() as client:
            answer = await client.get(f"{self.url}/api/v1/{what}", params=dict(parameters))
        found = answer.json()
        assert found["status"] == "success", (found, parameters)
        data: dict[str, Any] = found["data"]
        return data


@asynccontextmanager
async def prometheus(folder: Path, targets: Sequence[Target]) -> AsyncIterator[RunningPrometheus]:
    """Run Prometheus on the repository's configuration; as an operator does, only targets.yml is written anew.

    It asks and judges every second, so that a test has not to wait.
    """
    program = require_tool("prometheus", package="prometheus")
    address = f"127.0.0.1:{free_ports(1)[0]}"
    for name in RULE_FILES:
        shutil.copy(MONITORING / name, folder / name)
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        job.pop("scrape_interval", None)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    listed = [
        {"labels": {"job": target.job} | ({"role": target.role} if target.role else {}), "targets": [target.address]}
        for target in (*targets, Target("prometheus", address))
    ]
    (folder / "targets.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    with (folder / "prometheus.log").open("wb") as log:
        child = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address={address}",
            env={"PATH": os.environ["PATH"]},
            stdout=log,
            stderr=log,
        )
    try:
        await until_it_answers(f"http://{address}/-/ready", child)
        yield RunningPrometheus(f"http://{address}")
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()
