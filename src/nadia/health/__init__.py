"""Is it well? Probes of every part, run at once, and what they came to."""
