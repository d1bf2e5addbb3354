"""Telegram: the gateway that the rest of NADIA talks to, and the sandbox that stands in for the real network."""
