"""Language models: the registry, the client for OpenAI-compatible endpoints, the offline drafter, and their cost."""
