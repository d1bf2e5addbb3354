"""Conversations: people, their messages, the batches these form, and what each may turn into."""
