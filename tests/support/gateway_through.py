"""A gateway that tests put before the real one."""

from nadia.telegram.gateway import IncomingMessage, SentMessage
from nadia.telegram.sandbox.gateway import SandboxGateway


class Through:
    """A gateway that passes everything on; tests change one method."""

    network = "sandbox"
    account_id = "sandbox"

    def __init__(self, real: SandboxGateway) -> None:
        self.real = real
        self.connect = real.connect
        self.close = real.close
        self.updates = real.updates
        self.dialogs = real.dialogs

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        return await self.real.send(chat_id=chat_id, text=text, random_id=random_id)

    async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
        await self.real.set_typing(chat_id=chat_id, active=active)

    async def history(
        self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
    ) -> list[IncomingMessage]:
        return await self.real.history(chat_id=chat_id, after_id=after_id, before_id=before_id, limit=limit)
