"""Schemathesis throws what the OpenAPI allows and forbids at every operation: no 5xx, nothing undocumented."""

import asyncio
import sys
from pathlib import Path

import pytest

from support.servers import short_folder
from support.system import running_system

pytestmark = pytest.mark.e2e

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


async def test_no_input_brings_the_api_to_a_server_error() -> None:
    with short_folder() as base:
        # The worker and the bot run too: what is decided here has consequences.
        async with running_system(base) as system:
            run = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("schemathesis")),
                "run",
                f"{system.web_url()}/api/openapi.json",
                "--url",
                system.web_url(),
                "--header",
                f"Authorization: Bearer {system.admin_token}",
                "--checks",
                CHECKS,
                "--phases",
                "examples,coverage,fuzzing",
                "--max-examples",
                "20",
                "--seed",
                "1",
                "--continue-on-failure",
                "--exclude-path",
                "/api/v1/live",  # a stream without an end
                "--exclude-path-regex",
                "(events|stream)$",
                cwd=base,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            output, _ = await run.communicate()

    assert run.returncode == 0, output.decode()[-6_000:]
