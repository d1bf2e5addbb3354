"""Review: a person reads every draft, and decides what is sent."""

from nadia.review.config import ReviewSettings
from nadia.review.desk import ReviewDesk
from nadia.review.errors import ClaimedByOtherError, StaleError
from nadia.review.models import Approval, ItemDetail, QueueItem, Resolution, ReviewerRef

__all__ = [
    "Approval",
    "ClaimedByOtherError",
    "ItemDetail",
    "QueueItem",
    "Resolution",
    "ReviewDesk",
    "ReviewSettings",
    "ReviewerRef",
    "StaleError",
]
