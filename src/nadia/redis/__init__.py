"""Redis, which says when: connections, the names of all keys, and live events. Anything in it can be lost."""
