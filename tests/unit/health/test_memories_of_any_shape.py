"""Whatever lies where a memory should be, the probe goes on and names it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from nadia.health.memory_sample import sample_memories
from nadia.health.probes.conversation_memory import Damage, damage_of
from nadia.redis.commands import Command, SendsCommands

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("pakstdm"), inner, max_size=7),
    max_leaves=10,
)
ENTRY = st.text(max_size=30) | ANYTHING.map(json.dumps)


@dataclass
class Holding:
    """A Redis that holds one memory."""

    entries: Sequence[str]
    seconds_left: int = 60

    async def servers(self) -> Sequence[SendsCommands]:
        return [self]

    async def send(self, commands: Sequence[Command]) -> list[object]:
        if commands and commands[0].words[0] == "SCAN":
            return [["0", ["nadia:{p1}:memory:1"]]]
        return [["list", len(self.entries), self.seconds_left, list(self.entries)] for _ in commands]


@given(st.lists(ENTRY, min_size=1, max_size=4), st.integers(-2, 10**9))
async def test_anything_can_be_read_and_judged(entries: Sequence[str], seconds_left: int) -> None:
    (memory,) = await sample_memories(Holding(entries, seconds_left), 20)

    assert damage_of(memory, {}) is Damage.OF_NOBODY
    assert memory.messages is None or len(memory.messages) == len(entries) - 1
