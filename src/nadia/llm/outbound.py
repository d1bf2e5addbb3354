"""The way out to a model's endpoint: one look-up, only where it may go, and no more than fits.

DESIGN section 5: an address from the configuration is resolved once, that address is connected to, and ranges that are
not public are refused unless allowed.
"""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import Final

import httpx2

from nadia.llm.errors import ModelError, Outcome

LARGEST_ANSWER_BYTES: Final = 2_000_000
"""Far above any chat answer with its usage figures; what is larger is no answer."""


class OutboundTransport(httpx2.AsyncBaseTransport):
    """HTTP to addresses that were checked before connecting, with a bound on the answer.

    Proxies of the environment are not used: the address checked is the address connected to.

    Parameters
    ----------
    private_network : bool
        Whether addresses of this machine and of private networks are allowed.
    """

    def __init__(self, *, private_network: bool) -> None:
        self._private_network = private_network
        self._transport = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_connections=20, keepalive_expiry=30))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send the request to the first of the host's addresses that accepts a connection."""
        addresses = await self._addresses(request.url)
        while True:
            address = addresses.pop(0)
            try:
                response = await self._transport.handle_async_request(_pinned(request, address))
                break
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if not addresses:
                    raise
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.aclose()  # a small body could unpack to a huge one
            raise ModelError("answered compressed, though asked not to", outcome=Outcome.UNUSABLE)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_BoundedStream(response.stream),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(url.host, None, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as exc:
            raise ModelError(f"the name {url.host} is not known", outcome=Outcome.CONNECTION) from exc
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not self._private_network and not all(_is_public(address) for address in addresses):
            raise ModelError(
                f"{url.host} is not a public address",
                outcome=Outcome.REFUSED,
                hint="set `private_network: true` at the model, if its endpoint is yours",
            )
        return addresses


class _BoundedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._stream:
            size += len(part)
            if size > LARGEST_ANSWER_BYTES:
                raise ModelError(f"answered with more than {LARGEST_ANSWER_BYTES} bytes", outcome=Outcome.UNUSABLE)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


def _pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    """Return the request aimed at an address; the host stays in its header and in TLS's name check."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


def _is_public(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_global and not parsed.is_multicast
