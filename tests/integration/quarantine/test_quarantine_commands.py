"""`nadia quarantine`, and the launcher that makes its tables: what they print and how they end."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nadia.embedded.endpoints import RedisEndpoint
from nadia.postgres import revisions, schema
from support.command_line import Outcome, run_nadia
from support.reply_world import World
from support.servers import ClonedDatabase
from support.silences import audited, person_of, states, steps

LAUNCHER = Path(__file__).parents[3] / "scripts" / "create_protocol_tables.py"


class Terminal:
    """Runs commands on a test's servers."""

    def __init__(self, database: ClonedDatabase, redis: RedisEndpoint, folder: Path) -> None:
        self._environ = {"DATABASE_URL": database.app_dsn, "REDIS_URL": redis.url, "NADIA_HOME": str(folder / "home")}
        self._folder = folder

    async def __call__(self, *arguments: str) -> Outcome:
        return await asyncio.to_thread(run_nadia, "quarantine", *arguments, cwd=self._folder, environ=self._environ)


@pytest.fixture
async def nadia(database: ClonedDatabase, redis_endpoint: RedisEndpoint, tmp_path: Path) -> AsyncIterator[Terminal]:
    yield Terminal(database, redis_endpoint, tmp_path)


async def test_the_way_of_a_silence(nadia: Terminal, world: World) -> None:
    conversation = await world.customer("Mina\x1b[31m")
    await world.execute("UPDATE people SET username = 'mina'")
    person_id = await person_of(world.execute, conversation.id)
    await world.drafted(conversation)

    silenced = await nadia("activate", "@MINA", "--reason", "threats")
    assert (silenced.code, silenced.out) == (0, "silenced; messages: 1, items of the desk: 1\n")
    assert "silenced already" in (await nadia("activate", str(person_id), "--reason", "threats")).out

    listed = await nadia("list")
    assert "threats" in listed.out
    assert "\x1b" not in listed.out
    (line,) = json.loads((await nadia("list", "--json")).out)
    assert (line["person_id"], line["held"]) == (person_id, 1)

    shown = await nadia("show", str(person_id), "--json")
    assert "How much is shipping?" not in shown.out
    known = json.loads(shown.out)
    assert known["messages"][0]["characters"] == len("How much is shipping?")
    assert [entry["step"] for entry in known["log"]] == ["held", "activated"]
    assert "is silenced" in (await nadia("show", str(person_id))).out

    planned = await nadia("discard", str(person_id), "--reason", "abuse", "--dry-run")
    assert (planned.code, "1 held messages, 1 parked items" in planned.out) == (0, True)
    assert await states(world.execute) == ["held"]

    discarded = json.loads((await nadia("discard", str(person_id), "--reason", "abuse", "--json")).out)
    assert discarded == {"changed": True, "messages": 1, "items": 1}
    again = await nadia("discard", str(person_id), "--reason", "abuse")
    assert again.code != 0
    assert "hint:" in again.err

    assert "a pass is granted" in (await nadia("pass", str(person_id), "--reason", "one question")).out
    assert "lifted" in (await nadia("deactivate", str(person_id), "--reason", "calm again")).out
    who = {actor for _, actor, _, _ in await steps(world.execute)}
    assert all(actor.startswith("cli:") for actor in who)
    actions = [action for _, action in await audited(world.execute, person_id)]
    assert actions == [f"quarantine.{step}" for step in ("activated", "discarded", "pass_granted", "deactivated")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["activate", "1", "--reason", "a\x1b[2J"], "reason"),
        (["activate", "9" * 30, "--reason", "x"], "no person"),
        (["activate", "@nobody", "--reason", "x"], "no person"),
        (["activate", "1"], "--reason"),
    ],
)
async def test_what_makes_no_sense_is_refused(nadia: Terminal, arguments: list[str], said: str) -> None:
    ended = await nadia(*arguments)
    assert said in ended.err
    assert ended.code == 2
    assert "Traceback" not in ended.err


async def test_a_username_of_two_people_is_not_guessed_at(nadia: Terminal, world: World) -> None:
    for name in ("Mina", "Mona"):
        await world.customer(name)
    await world.execute("UPDATE people SET username = 'm'")
    refused = await nadia("show", "@m")
    assert refused.code == 2
    assert "say" in refused.err


async def test_some_messages_are_named_one_by_one(nadia: Terminal, world: World) -> None:
    conversation = await world.customer()
    person_id = await person_of(world.execute, conversation.id)
    await nadia("activate", str(person_id), "--reason", "x")
    for text in ("one", "two", "three"):
        await world.says(conversation, text)
    await world.batches.seal(conversation.id)
    ids = [str(row["id"]) for row in await world.execute("SELECT id FROM messages ORDER BY id")]
    ended = await nadia("release", str(person_id), "--message", ids[0], "--message", ids[2], "--reason", "x")
    assert ended.out.startswith("released; messages: 2")
    assert await states(world.execute) == ["released", "held", "released"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pass"], "is not silenced"),
        (["release"], "nothing of person"),
        (["discard"], "nothing of person"),
        (["release", "--message", "4711"], "message 4711 is not held"),
    ],
)
async def test_a_dry_run_refuses_what_the_command_refuses(
    nadia: Terminal, world: World, arguments: list[str], said: str
) -> None:
    command, *options = arguments
    person_id = await person_of(world.execute, (await world.customer()).id)
    asked = (command, str(person_id), *options, "--reason", "x")
    foreseen, refused = await asyncio.gather(nadia(*asked, "--dry-run"), nadia(*asked))
    assert said in foreseen.err
    assert (foreseen.code, foreseen.err, foreseen.out) == (refused.code, refused.err, "")


async def test_a_dry_run_foresees_what_would_not_change(nadia: Terminal, world: World) -> None:
    person = str(await person_of(world.execute, (await world.customer()).id))
    assert "nothing would change" in (await nadia("deactivate", person, "--reason", "x", "--dry-run")).out
    assert "silence Mina" in (await nadia("activate", person, "--reason", "x", "--dry-run")).out
    await nadia("activate", person, "--reason", "x")
    assert "nothing would change" in (await nadia("activate", person, "--reason", "x", "--dry-run")).out
    assert "next burst" in (await nadia("pass", person, "--reason", "x", "--dry-run")).out
    await nadia("pass", person, "--reason", "x")
    assert "nothing would change" in (await nadia("pass", person, "--reason", "x", "--dry-run")).out
    assert [event for event, *_ in await steps(world.execute)] == ["activated", "pass_granted"]


async def test_a_dry_run_counts_all_that_is_held_and_show_says_where_it_stops(nadia: Terminal, world: World) -> None:
    conversation = await world.customer()
    person = str(await person_of(world.execute, conversation.id))
    await world.says(conversation, "hello")
    await world.execute(
        "INSERT INTO messages (conversation_id, telegram_account_id, chat_id, telegram_message_id, direction, author, "
        "kind, text, sent_at) SELECT conversation_id, telegram_account_id, chat_id, 1000 + n, direction, author, kind, "
        "text, sent_at FROM messages, generate_series(1, 501) n"
    )
    await nadia("activate", person, "--reason", "flood")
    (last,) = await world.execute("SELECT max(message_id) AS id FROM quarantine_messages")
    planned = await nadia("discard", person, "--reason", "x", "--dry-run")
    assert "502 held messages, 0 parked items" in planned.out
    planned = await nadia("release", person, "--message", str(last["id"]), "--reason", "x", "--dry-run")
    assert "1 held messages" in planned.out
    assert "and 2 more" in (await nadia("show", person)).out


async def test_the_list_says_that_there_are_more(nadia: Terminal, world: World) -> None:
    await world.execute(
        "WITH people AS (INSERT INTO people (network, telegram_user_id, name) "
        "SELECT 'sandbox', n, 'Mina' FROM generate_series(1, 500) n RETURNING id) "
        "INSERT INTO user_protocol_status (person_id, reason, activated_by, keeps) "
        "SELECT id, 'x', 'account:1', '7 days' FROM people"
    )
    whole = await nadia("list")
    assert (len(whole.out.splitlines()), whole.err) == (501, "")
    await nadia("activate", str(await person_of(world.execute, (await world.customer()).id)), "--reason", "x")
    cut, as_json = await asyncio.gather(nadia("list"), nadia("list", "--json"))
    assert len(cut.out.splitlines()) == 501
    assert len(json.loads(as_json.out)) == 500
    for printed in (cut, as_json):
        assert "more are silenced" in printed.err


async def test_the_launcher_makes_verifies_and_takes_back_only_its_tables(
    database: ClonedDatabase, tmp_path: Path
) -> None:
    async def launch(*arguments: str) -> Outcome:
        environ = {"DATABASE_URL": database.owner_dsn, "PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(LAUNCHER), *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Outcome(code=ran.returncode, out=ran.stdout, err=ran.stderr)

    assert (await launch("--verify")).code == 0
    refused = await launch("--rollback")
    assert (refused.code, "--yes" in refused.err) == (4, True)
    assert "DROP TABLE quarantine_messages" in (await launch("--rollback", "--dry-run")).out

    assert (await launch("--rollback", "--yes")).out == f"the schema is at {revisions.heads()[0]}\n"
    missing = await launch("--verify")
    assert (missing.code, "missing" in missing.out) == (1, True)

    assert "CREATE TABLE user_protocol_status" in (await launch("--dry-run")).out
    assert (await launch()).out == f"the schema is at {schema.said(revisions.heads())}\n"
    assert (await launch("--verify")).code == 0
    assert len(LAUNCHER.read_text().splitlines()) <= 10


async def test_without_a_server_verifying_ends_in_3(tmp_path: Path) -> None:
    ended = await asyncio.to_thread(run_nadia, "quarantine", "schema", "--verify", cwd=tmp_path)
    assert ended.code == 3
