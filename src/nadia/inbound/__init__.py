"""Inbound: what Telegram hands over goes on record first, then to pacing."""
