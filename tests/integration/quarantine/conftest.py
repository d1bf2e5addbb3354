"""Fixtures for quarantine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nadia.delivery import sender
from nadia.review.models import ReviewerRef
from support.post_office import PostOffice
from support.reply_fixtures import desk_database, live_events, reviewer, world
from support.reply_world import World
from support.sandbox_network import SandboxNetwork, sandbox_network

__all__ = [
    "desk_database",
    "live_events",
    "reviewer",
    "world",
]


@pytest.fixture
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxNetwork]:
    folder: Path = tmp_path_factory.mktemp("tg")
    async with sandbox_network(folder) as running:
        yield running


@pytest.fixture
def office(world: World, network: SandboxNetwork, reviewer: ReviewerRef, monkeypatch: pytest.MonkeyPatch) -> PostOffice:
    monkeypatch.setattr(sender, "_POLL_SECONDS", 0.05)
    return PostOffice(world=world, network=network, reviewer=reviewer)
