"""Describing the machine that something is measured on."""

import os
import platform
from pathlib import Path
from typing import Final

import psutil

from nadia import __version__
from nadia.errors import UnavailableError
from nadia.postgres.database import Connection
from nadia.redis.connection import RedisConnection
from nadia.workflows.performance.figures import Machine

HARDWARE: Final = ("processor", "architecture", "processors", "memory_bytes")
"""What makes two machines different ones; a new version of something is what comparisons are for."""


async def describe(conn: Connection, redis: RedisConnection) -> Machine:
    """Return where and with what this process measures."""
    row = await (await conn.execute("SHOW server_version")).fetchone()
    return Machine(
        processor=_processor(),
        architecture=platform.machine(),
        processors=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        nadia=__version__,
        postgres=row["server_version"] if row else None,
        redis=await _redis_version(redis),
    )


def changes(before: Machine, after: Machine) -> dict[str, tuple[object, object]]:
    """Return what is not as it was, by name."""
    return {
        name: (then, now)
        for name in Machine.model_fields
        if (then := getattr(before, name)) != (now := getattr(after, name))
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


async def _redis_version(redis: RedisConnection) -> str | None:
    try:
        async with redis.use() as client:
            answer = await client.info("server")
    except UnavailableError:
        return None
    # A cluster answers by node.
    found = answer if "redis_version" in answer else next(iter(answer.values()), {})
    version = found.get("valkey_version") or found.get("redis_version")
    return str(version) if version else None
