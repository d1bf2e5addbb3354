"""Delivery: approved replies leave once, in order, and in human time."""
