"""The gateway to the real Telegram keeps the contract; Telethon speaks MTProto to a server on this machine."""

from support.gateway_contract import GatewayContract


class TestTelethon(GatewayContract):
    pass
