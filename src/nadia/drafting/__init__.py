"""Drafting: a sealed batch becomes a draft for a person to review."""
