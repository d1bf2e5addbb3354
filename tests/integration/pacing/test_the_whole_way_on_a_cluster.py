"""From intake to draft with Redis as a cluster: the same as with one."""

from nadia.pacing.config import PacingSettings
from support.core import ScriptedDrafter, open_core, running, until
from support.redis_cluster import RunningCluster
from support.servers import ClonedDatabase


async def test_messages_become_drafts_over_all_partitions(database: ClonedDatabase, cluster: RunningCluster) -> None:
    quick = PacingSettings(window_seconds=0.1)
    async with (
        open_core(database.app_dsn, cluster.source, pacing=quick) as one,
        open_core(database.app_dsn, cluster.source, pacing=quick, consumer="two") as two,
    ):
        await one.own()
        await one.sweep.run_once()
        drafter = ScriptedDrafter()
        async with (
            running(one.tracker.run),
            running(two.tracker.run),
            running(one.drafting(drafter).run),
            running(two.drafting(drafter).run),
        ):
            for chat in range(1, 101):
                await one.receive(chat, "hello")
                await one.receive(chat, "where is my order?")

            async def half() -> bool:
                return bool(await one.value("SELECT count(*) >= 30 FROM drafts"))

            await until(half, within=30)
            await cluster.empty()
            await two.sweep.run_once()

            async def all_drafted() -> bool:
                return bool(await one.value("SELECT count(*) = 100 FROM batches WHERE state = 'drafted'"))

            await until(all_drafted, within=30)
        partitions = await one.value("SELECT count(DISTINCT partition) FROM conversations")
        assert partitions > 40
        assert await one.value("SELECT count(*) FROM messages WHERE batch_id IS NULL") == 0
        assert await one.value("SELECT count(*) FROM drafts") == await one.value(
            "SELECT count(DISTINCT (batch_id, revision)) FROM drafts"
        )
        (prompt, *_) = drafter.prompts
        assert [message.content for message in prompt[1:]] == ["hello", "where is my order?"]
