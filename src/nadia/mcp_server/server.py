"""The protocol's server: tools and resources for whoever asks.

It stands on the SDK's `Server` and not on its `MCPServer`, which makes tools of Python functions: here the schemas are
those of the workflows' arguments, an unknown argument is an error, and each caller is shown the tools of their role.
"""

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import structlog
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
    Tool,
    ToolAnnotations,
)

from nadia import __version__
from nadia.errors import NadiaError, NotFoundError, RefusedError
from nadia.mcp_server.answers import UNTRUSTED, failure
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.fair_share import FairShare
from nadia.mcp_server.resources import CONVERSATION_ROLE, CONVERSATION_TEMPLATE, Resources
from nadia.mcp_server.tools import OperatorTool

log = structlog.get_logger(__name__)

TOOL_SECONDS: Final = 300.0
"""Longest that one call may take, with its waiting (baseline 1.3 gives a command as long)."""
READ_SECONDS: Final = 30.0
"""Longest that reading one resource may take; a probe of the health check has some seconds."""

INSTRUCTIONS: Final = f"""\
NADIA runs conversations on Telegram in which a model drafts every reply and a person approves it. These tools answer an
operator's questions about one installation: begin with nadia://health and nadia://alerts, then use the tool whose
question is yours. {UNTRUSTED} Nothing here can approve, edit, send, pause or erase anything; people do that."""

Context: TypeAlias = ServerRequestContext[Any, Any]
TellsCaller: TypeAlias = Callable[[Context], Caller]
"""Returns who asks, and raises RefusedError if nobody known does."""

_JSON: Final = "application/json"


def build_server(*, tools: Sequence[OperatorTool], resources: Resources, caller_of: TellsCaller) -> Server[Any]:
    """Put the server together; connects nothing."""
    by_name = {tool.name: tool for tool in tools}
    calls, readings = FairShare(), FairShare()
    described = functools.cache(_described)  # slow, and the SDK lists the tools with every call

    async def list_tools(ctx: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
        role = caller_of(ctx).role
        return ListToolsResult(tools=[described(tool) for tool in tools if role.covers(tool.role)])

    async def call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
        if params.name not in by_name:
            raise MCPError(INVALID_PARAMS, f"there is no tool {params.name[:60]!r}")
        return await _call(by_name[params.name], params.arguments or {}, caller_of(ctx), calls)

    async def list_resources(ctx: Context, _: PaginatedRequestParams | None) -> ListResourcesResult:
        return ListResourcesResult(
            resources=[  # every role may read these
                Resource(uri=each.uri, name=each.name, description=each.description, mime_type=_JSON)
                for each in resources.fixed
            ]
        )

    async def list_templates(ctx: Context, _: PaginatedRequestParams | None) -> ListResourceTemplatesResult:
        if not caller_of(ctx).role.covers(CONVERSATION_ROLE):
            return ListResourceTemplatesResult(resource_templates=[])
        template = ResourceTemplate(
            uri_template=CONVERSATION_TEMPLATE,
            name="conversation",
            description=f"The last messages of a conversation. {UNTRUSTED}",
            mime_type=_JSON,
        )
        return ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        caller, uri = caller_of(ctx), str(params.uri)
        text = await _read(resources, uri, caller, readings)
        log.info("mcp.resource_read", uri=uri[:100], actor=caller.actor)
        return ReadResourceResult(contents=[TextResourceContents(uri=params.uri, text=text, mime_type=_JSON)])

    return Server(
        "nadia",
        version=__version__,
        title="NADIA",
        description="Investigates a NADIA installation.",
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
    )


def _described(tool: OperatorTool) -> Tool:
    return Tool(
        name=tool.name,
        description=tool.description,
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=ToolAnnotations(
            read_only_hint=tool.reads_only,
            destructive_hint=False,
            idempotent_hint=tool.reads_only,
            open_world_hint=False,
        ),
    )


async def _call(tool: OperatorTool, arguments: dict[str, Any], caller: Caller, share: FairShare) -> CallToolResult:
    """Run a tool. What goes wrong is an answer that the assistant can read; the server goes on."""
    begun = time.monotonic()
    outcome, problem = "done", ""
    try:
        answer = await share.run(caller, lambda: tool.call(arguments, caller), seconds=TOOL_SECONDS)
    except asyncio.CancelledError:  # the client left, or takes its question back
        log.info("mcp.tool_left", tool=tool.name, actor=caller.actor, seconds=round(time.monotonic() - begun, 3))
        raise
    except NadiaError as exc:
        outcome, problem = type(exc).__name__, failure(exc.message, exc.hint)
    except TimeoutError:
        outcome = "TimeoutError"
        problem = failure(f"it took longer than {TOOL_SECONDS:g} s and was stopped", "ask for less")
    except Exception as exc:  # a mistake of ours must not end the server, nor its text leave it
        log.exception("mcp.tool_failed", tool=tool.name)
        outcome = type(exc).__name__
        problem = failure(f"{tool.name} failed ({outcome})", "the server's log has the traceback: please report it")
    seconds = round(time.monotonic() - begun, 3)
    log.info("mcp.tool_called", tool=tool.name, actor=caller.actor, outcome=outcome, seconds=seconds)
    if problem:
        return CallToolResult(content=[TextContent(type="text", text=problem)], is_error=True)
    return CallToolResult(
        content=[TextContent(type="text", text=answer.text)], structured_content=dict(answer.structured)
    )


async def _read(resources: Resources, uri: str, caller: Caller, share: FairShare) -> str:
    """Read a resource; the protocol has an error of its own for each way in which that can fail."""
    try:
        return await share.run(caller, lambda: resources.read(uri, caller), seconds=READ_SECONDS)
    except (NotFoundError, RefusedError) as exc:
        raise MCPError(INVALID_PARAMS, failure(exc.message, exc.hint)) from exc
    except NadiaError as exc:
        raise MCPError(INTERNAL_ERROR, failure(exc.message, exc.hint)) from exc
    except TimeoutError as exc:
        raise MCPError(INTERNAL_ERROR, "it took too long") from exc
    except Exception as exc:
        log.exception("mcp.resource_failed")
        raise MCPError(INTERNAL_ERROR, "it cannot be read; the server's log has the traceback") from exc
