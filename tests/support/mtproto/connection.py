"""One client's connection: handshake, sessions, salts, containers, service messages and requests."""

import asyncio
import contextlib
import secrets
import struct
import time
from typing import Any

from telethon.errors import TypeNotFoundError
from telethon.extensions import BinaryReader
from telethon.tl import TLObject, functions, types
from telethon.tl.core import GzipPacked, MessageContainer, RpcResult, TLMessage

from support.mtproto import envelope
from support.mtproto.envelope import BadEnvelopeError
from support.mtproto.handshake import Handshake, HandshakeError
from support.mtproto.rpc import Api, HangUp, NoAnswer, RpcFailure
from support.mtproto.wire import KEY_UNKNOWN, BadFrameError, Frames
from support.mtproto.world import Authorization, World

_WRONG_SALT = 48
_TOO_LOW, _TOO_HIGH, _NOT_A_CLIENTS = 16, 17, 18
_WORTH_PACKING = 512  # bytes


class Connection:
    """Reads what a client sends until either side hangs up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, world: World, api: Api) -> None:
        self._frames = Frames(reader, writer)
        self._writer = writer
        self._world = world
        self._api = api
        self._handshake = Handshake()
        self._authorization: Authorization | None = None
        self._session_id = 0
        self._begun_session_id: int | None = None
        self._last_message_id = 0
        self._content_messages = 0
        self._received: set[int] = set()
        self._answering: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serve the client until the end of the connection."""
        try:
            while True:
                self._take(await self._frames.read())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        except (BadFrameError, HandshakeError, BadEnvelopeError, TypeNotFoundError) as error:
            self._world.refused.append(error)
        finally:
            self.cut()
            for task in self._answering:
                task.cancel()
            await asyncio.gather(*self._answering, return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()

    def push(self, updates: Any) -> None:
        """Send updates."""
        self._send(bytes(updates), content=True, answer=False)

    def cut(self) -> None:
        """Break the connection as a network does: without a word."""
        if self._authorization is not None and self in self._authorization.links:
            self._authorization.links.remove(self)
        self._writer.transport.abort()

    # receiving

    def _take(self, packet: bytes) -> None:
        key_id = envelope.key_id_of(packet)
        if key_id == 0:
            self._shake_hands(packet)
            return
        authorization = self._world.authorizations.get(key_id)
        if authorization is None:
            self._frames.write(KEY_UNKNOWN)
            return
        message = envelope.opened(packet, authorization.key)
        self._authorization = authorization
        self._session_id = message.session_id
        if (code := _time_fault(message.message_id)) is not None:
            self._send(bytes(types.BadMsgNotification(message.message_id, message.sequence, code)))
            return
        if message.salt != authorization.salt:
            self._send(
                bytes(types.BadServerSalt(message.message_id, message.sequence, _WRONG_SALT, authorization.salt))
            )
            return
        if self._begun_session_id != message.session_id:
            self._begun_session_id = message.session_id
            self._received.clear()
            created = types.NewSessionCreated(message.message_id, secrets.randbits(63), authorization.salt)
            self._send(bytes(created), content=True)
        with BinaryReader(message.body) as reader:
            body = reader.tgread_object()
        single = [TLMessage(message.message_id, message.sequence, body)]
        for inner in body.messages if isinstance(body, MessageContainer) else single:
            self._take_message(authorization, inner)

    def _shake_hands(self, packet: bytes) -> None:
        with BinaryReader(packet[20:]) as reader:
            answer = bytes(self._handshake.answer(reader.tgread_object()))
        if self._handshake.key is not None:
            key = self._handshake.key
            self._world.authorizations[key.key_id] = Authorization(key)
            self._handshake = Handshake()
        self._frames.write(struct.pack("<qqi", 0, self._next_message_id(answer=True), len(answer)) + answer)

    def _take_message(self, authorization: Authorization, message: TLMessage) -> None:
        if message.msg_id in self._received:
            return  # sent again for want of an acknowledgement; the answer is on its way
        self._received.add(message.msg_id)
        request = message.obj
        if isinstance(request, GzipPacked):
            with BinaryReader(request.data) as reader:
                request = reader.tgread_object()
        match request:
            case types.MsgsAck() | types.MsgsStateInfo():
                pass  # nothing is sent again: what a client missed, it finds in the difference
            case functions.PingRequest() | functions.PingDelayDisconnectRequest():
                self._send(bytes(types.Pong(message.msg_id, request.ping_id)))
            case functions.GetFutureSaltsRequest():
                self._send(bytes(types.FutureSalts(message.msg_id, int(time.time()), [])))
            case functions.DestroySessionRequest():
                self._send(bytes(types.DestroySessionNone(request.session_id)))
            case _:
                task = asyncio.create_task(self._answer(authorization, message.msg_id, request))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)

    async def _answer(self, authorization: Authorization, message_id: int, request: Any) -> None:
        try:
            result = serialised(await self._api.answer(authorization, self, request))
        except RpcFailure as failure:
            result = bytes(types.RpcError(failure.code, failure.message))
        except HangUp:
            self.cut()
            return
        except NoAnswer:
            return
        except (
            Exception
        ) as error:  # the server's own mistake: the client must not wait for ever, and the test must fail
            self._world.mistakes.append(error)
            self.cut()
            return
        if len(result) > _WORTH_PACKING:
            result = bytes(GzipPacked(result))
        self._send(struct.pack("<Iq", RpcResult.CONSTRUCTOR_ID, message_id) + result, content=True)

    # sending

    def _send(self, body: bytes, *, content: bool = False, answer: bool = True) -> None:
        assert self._authorization is not None
        self._content_messages += content
        message = envelope.Envelope(
            salt=self._authorization.salt,
            session_id=self._session_id,
            message_id=self._next_message_id(answer=answer),
            sequence=2 * self._content_messages - content,
            body=body,
        )
        if not self._writer.is_closing():
            self._frames.write(envelope.sealed(message, self._authorization.key))

    def _next_message_id(self, *, answer: bool) -> int:
        """Time in 2^-32 s, ascending; modulo 4 an answer is 1 and a push is 3 (…/description#message-id)."""
        self._last_message_id = max(int(time.time() * 2**32) // 4 * 4, self._last_message_id // 4 * 4 + 4)
        return self._last_message_id + (1 if answer else 3)


def serialised(result: Any) -> bytes:
    """A method's result as it stands in rpc_result: an object, a Bool, or a vector of objects."""
    if isinstance(result, bool):
        return struct.pack("<I", 0x997275B5 if result else 0xBC799737)
    if isinstance(result, list):
        return struct.pack("<Ii", 0x1CB5C415, len(result)) + b"".join(bytes(item) for item in result)
    assert isinstance(result, TLObject)
    return bytes(result)


def _time_fault(message_id: int) -> int | None:
    """What is wrong with a client's message id, if anything (…/service_messages_about_messages)."""
    if message_id % 4:
        return _NOT_A_CLIENTS
    age = time.time() - message_id / 2**32
    if age > 300:
        return _TOO_LOW
    return _TOO_HIGH if age < -30 else None
