"""The standard exporters that `monitoring/` asks: what NADIA reads of each, and how to run it for real."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from support.ports import free_ports
from support.tools import require_tool

READ: Mapping[str, frozenset[str]] = {
    "prometheus": frozenset(
        {"up", "ALERTS", "prometheus_rule_evaluation_failures_total", "prometheus_config_last_reload_successful"}
    ),
    "node": frozenset(
        {
            "node_cpu_seconds_total",
            "node_memory_MemAvailable_bytes",
            "node_memory_MemTotal_bytes",
            "node_filesystem_avail_bytes",
            "node_filesystem_size_bytes",
        }
    ),
    "postgres": frozenset(
        {
            "pg_up",
            "pg_settings_max_connections",
            "pg_stat_activity_max_tx_duration",
            "pg_stat_database_numbackends",
        }
    ),
    "redis": frozenset(
        {
            "redis_up",
            "redis_aof_last_write_status",
            "redis_commands_processed_total",
            "redis_config_maxclients",
            "redis_connected_clients",
            "redis_memory_max_bytes",
            "redis_memory_used_bytes",
            "redis_rdb_last_bgsave_status",
        }
    ),
    "nginx": frozenset({"nginx_up"}),
    # Debian has no cAdvisor. These are from google/cadvisor, docs/storage/prometheus.md.
    "cadvisor": frozenset({"container_memory_working_set_bytes", "container_spec_memory_limit_bytes"}),
}
"""Names of metrics that rules and dashboard read, by job; those of processes come from every exporter's library."""

PROCESS = frozenset({"process_cpu_seconds_total", "process_resident_memory_bytes"})


@dataclass(frozen=True)
class RunningExporter:
    """Where one answers."""

    address: str

    async def metric_names(self) -> set[str]:
        """What it exports now."""
        async with httpx2.AsyncClient() as client:
            text = (await client.get(f"http://{self.address}/metrics")).text
        return {line.partition("{")[0].partition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def node_exporter() -> tuple[str, Sequence[str], Mapping[str, str]]:
    """The program, its arguments but the address, and its environment."""
    program = require_tool("prometheus-node-exporter", "node_exporter", package="prometheus-node-exporter")
    return program, ("--web.listen-address={address}",), {}


def postgres_exporter(dsn: str) -> tuple[str, Sequence[str], Mapping[str, str]]:
    """As `node_exporter`; it finds PostgreSQL at a URL."""
    program = require_tool("prometheus-postgres-exporter", "postgres_exporter", package="prometheus-postgres-exporter")
    return program, ("--web.listen-address={address}",), {"DATA_SOURCE_NAME": dsn}


def redis_exporter(socket: Path, password: str) -> tuple[str, Sequence[str], Mapping[str, str]]:
    """As `node_exporter`; it finds Redis at a socket."""
    program = require_tool("prometheus-redis-exporter", "redis_exporter", package="prometheus-redis-exporter")
    return (
        program,
        ("-web.listen-address={address}", f"-redis.addr=unix://{socket}"),
        {"REDIS_PASSWORD": password},
    )


def nginx_exporter(stub_status: str) -> tuple[str, Sequence[str], Mapping[str, str]]:
    """As `node_exporter`; it finds nginx's status page at a URL."""
    program = require_tool(
        "prometheus-nginx-exporter", "nginx-prometheus-exporter", package="prometheus-nginx-exporter"
    )
    return program, ("-web.listen-address={address}", f"-nginx.scrape-uri={stub_status}"), {}


@asynccontextmanager
async def running(exporter: tuple[str, Sequence[str], Mapping[str, str]]) -> AsyncIterator[RunningExporter]:
    """Run an exporter on a free port of loopback until the end of the block."""
    program, arguments, environment = exporter
    address = f"127.0.0.1:{free_ports(1)[0]}"
    child = await asyncio.create_subprocess_exec(
        program,
        *(argument.format(address=address) for argument in arguments),
        env={"PATH": os.environ["PATH"], **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await until_it_answers(f"http://{address}/metrics", child)
        yield RunningExporter(address)
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def until_it_answers(url: str, child: asyncio.subprocess.Process, *, within: float = 30) -> None:
    """Wait for a server that was just started."""
    async with httpx2.AsyncClient() as client, asyncio.timeout(within):
        while True:
            assert child.returncode is None, f"what should answer {url} ended with {child.returncode}"
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.05)
