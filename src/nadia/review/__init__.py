"""Review: a person reads every draft, and decides what is sent."""
