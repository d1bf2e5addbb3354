"""How a call to a model can fail."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from nadia.errors import NadiaError, UnavailableError
from nadia.llm.models import Usage


class Outcome(StrEnum):
    """How one attempt at a model ended; the label of its metric."""

    OK = "ok"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    AUTHENTICATION = "authentication"
    REFUSED = "refused"
    FILTERED = "filtered"
    UNUSABLE = "unusable"
    NO_MATCH = "no_match"
    CIRCUIT_OPEN = "circuit_open"
    CANCELLED = "cancelled"


TRANSIENT = frozenset({Outcome.TIMEOUT, Outcome.CONNECTION, Outcome.RATE_LIMITED, Outcome.SERVER_ERROR})
"""Another attempt at the same model may succeed."""

_ABOUT_THIS_REQUEST = frozenset({Outcome.REFUSED, Outcome.FILTERED, Outcome.UNUSABLE, Outcome.NO_MATCH})


class ModelError(NadiaError):
    """A model gave no usable answer.

    Parameters
    ----------
    message : str
        What happened, without secrets.
    outcome : Outcome
        Its kind.
    hint : str, optional
        The remedy.
    retry_after : float, optional
        Seconds that the provider asks to be left alone.
    is_permanent : bool
        Another attempt fails too, although outcomes of this kind usually pass (a used-up quota comes as 429).
    usage : Usage
        Tokens charged nevertheless.
    cost_usd : Decimal
        Their price.
    """

    def __init__(
        self,
        message: str,
        *,
        outcome: Outcome,
        hint: str | None = None,
        retry_after: float | None = None,
        is_permanent: bool = False,
        usage: Usage | None = None,
        cost_usd: Decimal = Decimal(0),
    ) -> None:
        super().__init__(message, hint=hint)
        self.outcome = outcome
        self.retry_after = retry_after
        self.usage = usage or Usage()
        self.cost_usd = cost_usd
        self.is_transient = outcome in TRANSIENT and not is_permanent
        self.is_providers_fault = outcome not in _ABOUT_THIS_REQUEST


class NoModelAvailableError(UnavailableError):
    """Every model of a profile's chain was skipped or failed.

    Parameters
    ----------
    profile : str
        The profile.
    reasons : sequence of (model, reason)
        Why not, in the order of the chain.
    """

    def __init__(self, profile: str, reasons: Sequence[tuple[str, str]]) -> None:
        listed = "; ".join(f"{model}: {reason}" for model, reason in reasons)
        super().__init__(
            f"no model of profile {profile!r} answered ({listed})",
            hint="write the reply by hand, and see `nadia config check` for the models",
        )
        self.profile = profile
        self.reasons = tuple(reasons)
