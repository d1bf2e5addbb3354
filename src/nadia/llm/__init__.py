"""Language models: the registry, the client for OpenAI-compatible endpoints, the offline drafter, and their cost."""

from nadia.llm.chain import ModelChain
from nadia.llm.config import LlmSettings
from nadia.llm.errors import NoModelAvailableError
from nadia.llm.models import ChatMessage, Completion, Drafter
from nadia.llm.registry import ModelRegistry, load_registry
from nadia.llm.saved_replies import SavedReplies, SavedReply

__all__ = [
    "ChatMessage",
    "Completion",
    "Drafter",
    "LlmSettings",
    "ModelChain",
    "ModelRegistry",
    "NoModelAvailableError",
    "SavedReplies",
    "SavedReply",
    "load_registry",
]
