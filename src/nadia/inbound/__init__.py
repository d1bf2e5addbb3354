"""Inbound: what Telegram hands over goes on record first, then to pacing."""

from nadia.inbound.intake import Intake
from nadia.inbound.listener import AccountListener

__all__ = ["AccountListener", "Intake"]
