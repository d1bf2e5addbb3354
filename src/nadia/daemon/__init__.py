"""The daemon: runs workflows by a schedule and remembers what they came to."""
