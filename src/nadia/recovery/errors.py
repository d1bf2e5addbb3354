"""What can go wrong while missed messages are looked for."""

from nadia.errors import NadiaError


class RecoveryStoppedError(NadiaError):
    """A run ended before everything was read; it is tried again by itself."""
