"""The sandbox's gateway keeps the contract, over a unix socket and over loopback."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nadia.telegram.sandbox.address import LoopbackAddress
from support.gateway_contract import GatewayContract, Network
from support.sandbox_network import sandbox_network


class TestOverAUnixSocket(GatewayContract):
    @pytest.fixture
    async def network(self, folder: Path) -> AsyncIterator[Network]:
        async with sandbox_network(folder) as network:
            yield network


class TestOverLoopback(GatewayContract):
    @pytest.fixture
    async def network(self, folder: Path) -> AsyncIterator[Network]:
        async with sandbox_network(folder, address=LoopbackAddress("127.0.0.1", 0)) as network:
            yield network
