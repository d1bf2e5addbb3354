"""Whom an assistant works for."""

from dataclasses import dataclass

from nadia.accounts.models import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """The person whose assistant asks.

    Parameters
    ----------
    actor : str
        How the audit log names them.
    role : Role
        What they may do; over HTTP that of the token, which may be less than its owner's.
    token : str or None
        Name of the token that the assistant has; None for the operator of this machine.
    """

    actor: str
    role: Role
    token: str | None = None
