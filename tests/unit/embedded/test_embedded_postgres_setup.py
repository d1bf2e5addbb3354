"""What is written for PostgreSQL: passwords' verifiers, configuration, and its log."""

import base64
import hmac
from pathlib import Path

from nadia.embedded.endpoints import PostgresEndpoint, RedisEndpoint, Role
from nadia.embedded.postgres_setup import configuration, scram_verifier, set_up_fingerprint, set_up_script
from nadia.embedded.server_log import ServerLog

PASSWORDS = {role: f"secret-of-{role}" for role in Role}


def test_a_verifier_signs_as_the_example_of_rfc_7677() -> None:
    verifier = scram_verifier("pencil", salt=base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    server_key = base64.b64decode(verifier.rpartition(":")[2])
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    exchange = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}"
    signature = base64.b64encode(hmac.digest(server_key, exchange.encode(), "sha256"))
    assert signature == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_no_password_is_in_what_the_server_is_told() -> None:
    script = set_up_script(PASSWORDS)
    assert all(password not in script for password in PASSWORDS.values())


def test_a_changed_password_changes_the_fingerprint() -> None:
    changed = {**PASSWORDS, Role.APP: "another"}
    assert set_up_fingerprint(changed) != set_up_fingerprint(PASSWORDS)
    assert set_up_fingerprint(dict(reversed(PASSWORDS.items()))) == set_up_fingerprint(PASSWORDS)


def test_only_tests_give_up_durability() -> None:
    durable = configuration(socket_folder=Path("/run/n"), durable=True).splitlines()
    assert {"fsync = on", "full_page_writes = on", "synchronous_commit = on", "listen_addresses = ''"} <= set(durable)
    assert "fsync = off" in configuration(socket_folder=Path("/run/n"), durable=False).splitlines()


def test_passwords_stay_out_of_representations() -> None:
    postgres = PostgresEndpoint(socket_folder=Path("/run/n"), role=Role.APP, password="hidden")
    redis = RedisEndpoint(socket_path=Path("/run/n/redis.sock"), username="default", password="hidden")
    assert "hidden" not in f"{postgres!r} {redis!r}"
    assert "hidden" in postgres.dsn
    assert "hidden" in redis.url


def test_a_servers_log_stays_within_its_cap_and_keeps_the_newest(tmp_path: Path) -> None:
    log = ServerLog(path=tmp_path / "server.log", cap_bytes=1000)
    with log.open() as stream:
        for number in range(300):
            stream.write(b"line %d\n" % number)
        stream.flush()
        log.trim()
        stream.write(b"after\n")
    assert (tmp_path / "server.log").read_bytes() == b"after\n"
    assert (tmp_path / "server.log.1").stat().st_size == 1000
    assert (tmp_path / "server.log.1").read_bytes().endswith(b"line 299\n")


def test_an_error_quotes_only_what_was_written_since_the_start(tmp_path: Path) -> None:
    log = ServerLog(path=tmp_path / "server.log")
    with log.open() as stream:
        stream.write(b"of an earlier run\n")
    with log.open() as stream:
        stream.write(b"one\ntwo\nthree\n")
    assert log.tail(2) == "two\nthree"
    assert log.tail() == "one\ntwo\nthree"
