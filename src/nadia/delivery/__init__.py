"""Delivery: approved replies leave once, in order, and in human time."""

from nadia.delivery.config import DeliverySettings
from nadia.delivery.outbox import Outbox
from nadia.delivery.sender import Delivery
from nadia.delivery.typing import TypingSimulator

__all__ = ["Delivery", "DeliverySettings", "Outbox", "TypingSimulator"]
