"""How full the disks are that NADIA writes to: by bytes and by files."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.shares import critical_above, megabytes


@dataclass(frozen=True, slots=True)
class _Space:
    folder: Path
    percent: float
    free: str
    of: str


@dataclass(frozen=True, kw_only=True)
class DiskProbe:
    """Looks at the file systems that some folders are in.

    Parameters
    ----------
    id, title, group : str
        What it is called: there is one for the system, and one for the installation's own folders.
    folders : sequence of Path
        The fullest counts. Of one that does not exist yet, the folder that it will be made in. One on a read-only file
        system, such as the image of a machine or container, does not count: nothing fills it.
    percent : float
        Share in use above which there is a warning; of the space for ordinary users, as `df` shows it.
    hint : str
        What to do when it is full.
    """

    id: str
    title: str
    group: str
    folders: Sequence[Path]
    percent: float
    hint: str

    async def measure(self) -> Finding:
        """Say how full the fullest one is."""
        # A network file system that hangs must hang a thread, and not everything else.
        fullest = await asyncio.to_thread(self._fullest)
        if fullest is None:
            return Finding(
                status=HealthStatus.HEALTHY,
                summary="mounted read-only: nothing can fill it",
                unit="percent",
                threshold=self.percent,
            )
        status = HealthStatus.HEALTHY
        if fullest.percent > self.percent:
            critical = fullest.percent > critical_above(self.percent)
            status = HealthStatus.CRITICAL if critical else HealthStatus.WARNING
        return Finding(
            status=status,
            summary=f"{fullest.percent:.0f} % {fullest.of}, {fullest.free} free at {fullest.folder}",
            value=fullest.percent,
            unit="percent",
            threshold=self.percent,
            hint=None if status is HealthStatus.HEALTHY else self.hint,
        )

    def _fullest(self) -> _Space | None:
        spaces = [space for folder in self.folders if (space := _space(folder))]
        return max(spaces, key=lambda space: space.percent, default=None)


def _space(folder: Path) -> _Space | None:
    """Return how full a folder's file system is; None of one that takes no writes."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    found = os.statvfs(there)
    if found.f_flag & os.ST_RDONLY:
        return None
    used, usable = found.f_blocks - found.f_bfree, found.f_blocks - found.f_bfree + found.f_bavail
    bytes_percent = 100 * used / usable if usable else 0.0
    # Some file systems count no files: theirs are made as needed.
    files_percent = 100 * (found.f_files - found.f_ffree) / found.f_files if found.f_files else 0.0
    if files_percent > bytes_percent:
        return _Space(folder, files_percent, f"{found.f_favail} files", "of the files")
    return _Space(folder, bytes_percent, megabytes(found.f_bavail * found.f_frsize), "full")
