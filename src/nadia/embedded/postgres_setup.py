"""What an embedded cluster is made of: its configuration files, roles and database.

Both configuration files are ours alone and written anew at every start, so a change here reaches clusters that exist.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from pathlib import Path

from nadia.embedded.endpoints import DATABASE, PORT, Role

ACCESS_RULES = """\
# Written by NADIA at every start.
local all         all scram-sha-256
local replication all scram-sha-256
"""

SCRAM_ITERATIONS = 4096
"""PostgreSQL's own default (``scram_iterations``); the secrets are random, so more would protect nothing."""

# Sized for one team's desk on a small machine, next to NADIA in 200 MB.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "60",
    "shared_buffers": "24MB",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "huge_pages": "off",
    "jit": "off",
    # Reads mostly hit the page cache; worker processes for them would cost memory all day.
    "io_method": "sync",
    "max_worker_processes": "2",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "2",
    "min_wal_size": "32MB",
    "max_wal_size": "256MB",
    "autovacuum": "on",
    "autovacuum_max_workers": "1",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    # Customers' texts are values of rows and parameters of statements: details of errors and parameters stay out.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_checkpoints": "off",
}
_DURABLE: Mapping[str, str] = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# Commits still reach the kernel before they are acknowledged: a killed server loses none, a killed machine may.
_FLEETING: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}

_SET_UP = f"""
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY['{Role.OWNER}', '{Role.APP}']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
ALTER ROLE {Role.OWNER} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'owner';
ALTER ROLE {Role.APP} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'app';
SELECT 'CREATE DATABASE {DATABASE} OWNER {Role.OWNER}'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
GRANT CONNECT ON DATABASE {DATABASE} TO {Role.APP};
\\connect {DATABASE}
ALTER DEFAULT PRIVILEGES FOR ROLE {Role.OWNER} GRANT USAGE ON SCHEMAS TO {Role.APP};
ALTER DEFAULT PRIVILEGES FOR ROLE {Role.OWNER} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {Role.APP};
ALTER DEFAULT PRIVILEGES FOR ROLE {Role.OWNER} GRANT USAGE, SELECT ON SEQUENCES TO {Role.APP};
"""  # noqa: S608 - made of this module's constants only


def configuration(*, socket_folder: Path, durable: bool) -> str:
    """The content of ``postgresql.conf``.

    Parameters
    ----------
    socket_folder : Path
        Where the unix socket goes; there is no other way in.
    durable : bool
        False gives up crash safety for speed, for tests.
    """
    # A list of folders, whose items are quoted on their own inside the quoted value.
    folder = _quoted_value(_quoted_item(str(socket_folder)))
    settings = {**_SETTINGS, **(_DURABLE if durable else _FLEETING), "unix_socket_directories": folder}
    lines = [f"{name} = {value}" for name, value in settings.items()]
    return "\n".join(["# Written by NADIA at every start.", f"port = {PORT}", *lines, ""])


def set_up_script(passwords: Mapping[Role, str]) -> str:
    """The psql script that brings roles, database and privileges to what they should be; it may run again.

    It holds verifiers, not passwords, so none can reach a log or a view of running statements.
    """
    variables = {"owner": Role.OWNER, "app": Role.APP}
    given = [f"\\set {name} '{scram_verifier(passwords[role])}'" for name, role in variables.items()]
    return "\n".join(["\\set ON_ERROR_STOP on", *given, _SET_UP])


def superuser_reset(password: str) -> str:
    """The one statement for single-user mode that makes the superuser's password be the secret again."""
    return f"ALTER ROLE {Role.SUPERUSER} PASSWORD '{scram_verifier(password)}'\n"


def set_up_fingerprint(passwords: Mapping[Role, str]) -> str:
    """Identify the set-up that a cluster has had: changes with the script and with each password."""
    digest = hashlib.sha256(_SET_UP.encode())
    for role in Role:
        digest.update(f"\0{passwords[role]}".encode())
    return digest.hexdigest()


def scram_verifier(password: str, *, salt: bytes | None = None) -> str:
    """What PostgreSQL stores instead of a password (RFC 5803, section 2).

    Parameters
    ----------
    password : str
        ASCII, so that no string preparation is needed.
    salt : bytes, optional
        16 random bytes when not given.
    """
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return f"SCRAM-SHA-256${SCRAM_ITERATIONS}:{salt64}${stored64}:{server64}"


def _quoted_item(path: str) -> str:
    return '"' + path.replace('"', '""') + '"'


def _quoted_value(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
