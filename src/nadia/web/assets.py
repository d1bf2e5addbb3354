"""Style sheets and scripts, held in memory and cached by browsers for good.

All files share one digest in their address: ``/static/<digest>/js/api.js``. A script's relative imports therefore
lead to files of the same release, and a new release is a new address.
"""

import hashlib
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

STATIC: Final = Path(__file__).with_name("static")

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".txt": "text/plain; charset=utf-8",
}
_FOREVER: Final = "public, max-age=31536000, immutable"


class StaticAssets:
    """Every file under ``static/``, read once.

    Parameters
    ----------
    folder : Path
        Where the files are.
    """

    def __init__(self, folder: Path = STATIC) -> None:
        digest = hashlib.sha256()
        self._files: dict[str, tuple[bytes, str]] = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in _TYPES:
                name, content = path.relative_to(folder).as_posix(), path.read_bytes()
                self._files[name] = (content, _TYPES[path.suffix])
                digest.update(name.encode() + b"\0" + content)
        self.digest = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Return the address of a file.

        Raises
        ------
        KeyError
            If there is no such file: a template's mistake.
        """
        if name not in self._files:
            raise KeyError(name)
        return f"/static/{self.digest}/{name}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for ``/static/{digest}/{name}``."""
        found = self._files.get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        content, media_type = found
        # A page of another release may still ask with its digest; what it gets must not be kept under that address.
        current = request.path_params["digest"] == self.digest
        return Response(content, media_type=media_type, headers={"Cache-Control": _FOREVER if current else "no-store"})
