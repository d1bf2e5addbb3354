"""Who stands at the desk, as the review service knows them."""

from nadia.accounts.models import Principal
from nadia.review.models import ReviewerRef


def reviewer(who: Principal) -> ReviewerRef:
    """Return the reviewer that an authenticated account is."""
    return ReviewerRef(id=who.account.id, name=who.account.name)
