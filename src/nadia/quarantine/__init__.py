"""Quarantine, the silence protocol: what silenced customers write is kept and not answered (baseline 3.4)."""
