"""Drafting: a sealed batch becomes a draft for a person to review."""

from nadia.drafting.config import DraftingSettings
from nadia.drafting.worker import DraftingWorker

__all__ = ["DraftingSettings", "DraftingWorker"]
