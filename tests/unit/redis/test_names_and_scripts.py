"""Names of keys, and scripts by their digest."""

import hashlib
import re

import pytest

from nadia.constants import PARTITIONS
from nadia.redis import keys
from nadia.redis.commands import Script
from nadia.redis.streams import stream_entries


def test_a_conversations_keys_share_the_slot_of_its_partitions_due_set() -> None:
    tags = {
        re.search(r"\{(.*?)\}", key).group(1)  # type: ignore[union-attr]  # each has one
        for key in (keys.due_set(17), keys.burst(17, 5), keys.memory(17, 5), keys.bursts_of(17))
    }
    assert tags == {"p17"}


def test_all_keys_begin_alike() -> None:
    assert all(
        key.startswith("nadia:")
        for key in (keys.due_set(1), keys.burst(1, 1), keys.memory(1, 1), keys.WAL_STREAM, keys.EVENT_STREAM)
    )


def test_a_conversation_has_the_same_partition_for_ever() -> None:
    assert keys.partition_of("desk", 1001) == 12
    assert keys.partition_of("desk", -42) == 24
    spread = {keys.partition_of("desk", chat) for chat in range(5_000)}
    assert spread == set(range(PARTITIONS))


def test_the_burst_key_is_what_the_claim_script_puts_together() -> None:
    assert keys.bursts_of(9) + "123" == keys.burst(9, 123)


def test_a_script_is_known_by_the_digest_of_its_text() -> None:
    script = Script("return 1")
    command = script.call(keys=["a", "b"], args=[1, "x"])
    assert command.words == ("EVALSHA", hashlib.sha1(b"return 1").hexdigest(), 2, "a", "b", 1, "x")
    assert command.with_text == ("EVAL", "return 1", 2, "a", "b", 1, "x")


@pytest.mark.parametrize("answer", [None, [], {}])
def test_a_stream_without_news_has_no_entries(answer: object) -> None:
    assert stream_entries(answer) == []
