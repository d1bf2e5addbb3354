"""People who log in: roles, passwords, sessions, second factor, tokens."""
