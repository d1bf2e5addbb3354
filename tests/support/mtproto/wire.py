"""The full TCP transport: length, number, payload and checksum (core.telegram.org/mtproto/mtproto-transports#full)."""

import asyncio
import struct
from zlib import crc32

KEY_UNKNOWN = struct.pack("<i", -404)
"""Payload of the frame that tells a client that its auth key is not known (…/mtproto-transports#transport-errors)."""
_LONGEST = 2 * 1024 * 1024


class BadFrameError(Exception):
    """What came is not the full transport."""


class Frames:
    """One connection's frames in both directions, each numbered from 0."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received = 0
        self._sent = 0

    async def read(self) -> bytes:
        """
        The next frame's payload.

        Raises
        ------
        BadFrameError
            If length, number or checksum is wrong.
        asyncio.IncompleteReadError
            At the end of the connection.
        """
        head = await self._reader.readexactly(8)
        length, number = struct.unpack("<ii", head)
        if not 12 <= length <= _LONGEST or number != self._received:
            raise BadFrameError(f"frame {self._received} has number {number} and length {length}")
        rest = await self._reader.readexactly(length - 8)
        payload, checksum = rest[:-4], struct.unpack("<I", rest[-4:])[0]
        if crc32(head + payload) != checksum:
            raise BadFrameError(f"frame {number} has a wrong checksum")
        self._received += 1
        return payload

    def write(self, payload: bytes) -> None:
        """Put one frame into the connection's buffer."""
        frame = struct.pack("<ii", len(payload) + 12, self._sent) + payload
        self._writer.write(frame + struct.pack("<I", crc32(frame)))
        self._sent += 1
