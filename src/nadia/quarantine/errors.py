"""Why quarantine says no."""

from typing import Final

from nadia.errors import ConflictError

SILENCED: Final = "the customer is silenced"


class SilencedError(ConflictError):
    """Nothing may be sent to the customer at the moment."""

    def __init__(self, batch_id: int) -> None:
        super().__init__(
            f"{SILENCED}: item {batch_id} cannot be answered", hint="grant a one-time pass, or lift the silence"
        )


class NotSilencedError(ConflictError):
    """What was asked for makes sense for a silenced customer only."""

    def __init__(self, person_id: int) -> None:
        super().__init__(f"person {person_id} is not silenced", hint="look again: somebody may have lifted the silence")


class NothingHeldError(ConflictError):
    """The messages that were to be decided about are not held, or not any more."""
