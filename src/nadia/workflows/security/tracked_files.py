"""Secrets in files that git keeps for ever; only the place and the kind are ever told."""

import asyncio
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.scan import Scan, critical
from nadia.workflows.security.weak_secrets import entropy_bits

_LARGEST: Final = 1_000_000
"""Bytes; a larger file is data."""

_MOST_FINDINGS: Final = 50
_PATIENCE_SECONDS: Final = 30
ALLOWED: Final = "pragma: allowlist secret"
"""On the line of what only looks like a secret; detect-secrets, which many run before a commit, reads the same mark."""

# Repetitions are bounded and do not overlap themselves: a file of a megabyte costs milliseconds.
PATTERNS: Final[Mapping[str, re.Pattern[str]]] = {
    "a private key": re.compile(
        # In JSON and .env files it is one line, with its line ends written out.
        r"-----BEGIN (?:[A-Z]{2,10} )?PRIVATE KEY(?: BLOCK)?-----(?:\s|\\{1,2}[rn]){1,4}[A-Za-z0-9+/=:]{16}"
    ),
    "an age key": re.compile(r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    "a Telegram bot's token": re.compile(r"\b\d{8,10}:[A-Za-z0-9_-]{35}\b"),
    "a Telegram session": re.compile(
        # As Telethon writes it: a version, then data centre (1 to 5), IPv4 or IPv6 address, port and 256 bytes of key.
        r"(?<![\w-])1[AB][A-Za-z0-9_-]{350}(?:[A-Za-z0-9_-]{16})?=?(?![\w=-])"
    ),
    "a Telegram api hash": re.compile(r"(?i)\bapi_?hash['\"]?\s{0,3}[=:]\s{0,3}['\"]?(?P<value>[0-9a-f]{32})\b"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    "an AWS secret key": re.compile(
        r"(?i)aws_?secret_?access_?key['\"]?\s{0,3}[=:]\s{0,3}['\"]?(?P<value>[A-Za-z0-9/+]{40})\b"
    ),
    "a Slack token": re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{20,250}"),
    "a Slack webhook": re.compile(r"\bhooks\.slack\.com/services/T[A-Z0-9]{6,12}/B[A-Z0-9]{6,12}/[A-Za-z0-9]{20,30}"),
    "an OpenAI key": re.compile(r"\bsk-(?:proj-|svcacct-|ant-[a-z0-9]{2,6}-)?[A-Za-z0-9_-]{32,200}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{60,90})\b"),
    "a token of NADIA's": re.compile(r"\bnadia_(?=[a-z_-]{0,60}[A-Z0-9])[A-Za-z0-9_-]{40,80}\b"),
    "a password in a URL": re.compile(
        # A slash stands for itself in what people write, unless a port is before it.
        r"\b[a-z][a-z0-9+.-]{1,20}://[A-Za-z0-9._~%-]{0,80}:(?!\d{1,5}/)(?P<value>[^\s:@'\"<>{}$*()\\]{12,200})"
        r"@(?!localhost\b|127\.)[A-Za-z0-9\[][A-Za-z0-9.:-]"
    ),
}

_LEAST_BITS: Final[Mapping[str, float]] = {"a password in a URL": 40.0}
"""What people write in examples is shorter than what a generator makes; all else has to look random."""

_RANDOM_BITS: Final = 70.0

FILES: Final = re.compile(
    r"(?:^|/)(?:\.env(?:\.(?!example$|sample$|template$)\w+)?|id_(?:rsa|dsa|ecdsa|ed25519)|[^/]+\.session)$"
)
"""Names of files that have no place in a repository, whatever is in them."""


class TrackedFileScanner:
    """Looks through what git tracks where NADIA runs from a checkout.

    Parameters
    ----------
    root : Path
        The checkout, if it is one.
    """

    title = "files in git"

    def __init__(self, *, root: Path) -> None:
        self._root = root

    async def scan(self) -> Scan:
        """Look through every tracked file."""
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> Scan:
        try:
            names = self._tracked()
        except FileNotFoundError:
            return Scan(looked_at="nothing", not_looked_at="git is not installed")
        except (subprocess.SubprocessError, OSError):
            return Scan(looked_at="nothing", not_looked_at=f"git cannot tell what it tracks in {self._root}")
        if names is None:
            return Scan(looked_at="nothing", not_looked_at="NADIA does not run from a checkout of git")
        findings = [finding for name in names for finding in self._judge(name)]
        cut = len(findings) - _MOST_FINDINGS
        return Scan(
            looked_at=f"{len(names)} files",
            findings=tuple(findings[:_MOST_FINDINGS]),
            not_looked_at=f"{cut} more findings are left out" if cut > 0 else None,
        )

    def _tracked(self) -> list[str] | None:
        if not (self._root / ".git").exists():
            return None
        listed = subprocess.run(
            ["git", "-C", str(self._root), "ls-files", "-z"],
            capture_output=True,
            check=True,
            timeout=_PATIENCE_SECONDS,
            stdin=subprocess.DEVNULL,
        )
        return [name.decode("utf-8", "surrogateescape") for name in listed.stdout.split(b"\0") if name]

    def _judge(self, name: str) -> Iterator[WorkflowFinding]:
        path = self._root / name
        if FILES.search(name):
            yield _finding(name, "is a file for secrets")
        try:
            if path.is_symlink() or not path.is_file() or path.stat().st_size > _LARGEST:
                return
            content = path.read_bytes()
        except OSError:
            return
        if b"\0" not in content[:8_000]:
            yield from (
                _finding(f"{name}:{line}", f"holds {kind}")
                for line, kind in secrets_in(content.decode("utf-8", "replace"))
            )


def secrets_in(text: str) -> Iterator[tuple[int, str]]:
    """Yield line number and kind of everything that looks like a secret and was not allowed on its line."""
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            value = match["value"] if "value" in pattern.groupindex else match[0]
            if entropy_bits(value) < _LEAST_BITS.get(kind, _RANDOM_BITS) or _repeats_itself(value):
                continue
            end = text.find("\n", match.end())
            line = text[text.rfind("\n", 0, match.start()) + 1 : end if end >= 0 else len(text)]
            if ALLOWED not in line:
                yield text.count("\n", 0, match.start()) + 1, kind


def _repeats_itself(value: str) -> bool:
    """Say whether a third or more of it was there before, as in what people make up for an example."""
    pieces = [value[at : at + 3] for at in range(len(value) - 2)]
    return len(set(pieces)) < len(pieces) * 2 / 3


def _finding(place: str, what: str) -> WorkflowFinding:
    return critical(
        place.encode("utf-8", "backslashreplace").decode(),
        f"{what}: everybody with a copy of the repository has it, and its history keeps it",
        f"revoke it and make a new one; then remove it, or mark the line `{ALLOWED}` if it is none",
    )
