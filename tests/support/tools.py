"""Programs that a test needs and a machine may lack."""

import os
import shutil

import pytest


def require_tool(*names: str, package: str) -> str:
    """Return the path of the first of these programs that is on PATH.

    Without any the test is skipped; on the machine that checks everything (NADIA_CI=1) it fails, because there every
    tool that can be installed is.
    """
    for name in names:
        if found := shutil.which(name):
            return found
    message = f"{' or '.join(names)} is not on PATH; Debian: apt install {package}"
    if os.environ.get("NADIA_CI", "") not in ("", "0"):
        pytest.fail(message)
    pytest.skip(message)
