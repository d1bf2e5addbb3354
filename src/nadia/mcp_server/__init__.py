"""Assistants that speak the Model Context Protocol: workflows as tools, and what they may read."""
