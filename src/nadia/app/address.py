"""Where the pages of a home are: the process that serves writes it down."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from nadia.errors import UnavailableError
from nadia.settings import Config
from nadia.settings.web import base_url


@contextmanager
def published_address(config: Config, url: str) -> Iterator[None]:
    """Let the home's other processes know where pages are served, during the block.

    Parameters
    ----------
    config : Config
        Names the home.
    url : str
        What people open.
    """
    path = _file(config)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        file.write(f"{url}\n")
    draft.replace(path)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            if path.read_text().strip() == url:  # not what another process of this home has written since
                path.unlink()


def address_of(config: Config) -> str:
    """Return the address that people open, for a command that makes a link.

    Raises
    ------
    UnavailableError
        If the port is the system's choice, and no process has one now.
    """
    if config.web.public_url:
        return base_url(config.web)
    with suppress(FileNotFoundError):  # whoever serves may have got its port from the command's own environment
        return _file(config).read_text().strip()
    if config.web.port:
        return base_url(config.web)
    raise UnavailableError(
        f"NADIA_WEB_PORT is 0, and no pages of {config.home} are served now",
        hint="start them (`nadia up`, `nadia run api`), or set NADIA_WEB_PORT or NADIA_WEB_PUBLIC_URL",
    )


def _file(config: Config) -> Path:
    return config.home / "url"
