"""A Telegram of this machine's own: a server with its own store and faults, the gateway to it, the customers' side.

It knows nothing of NADIA's PostgreSQL and Redis and is reached over a connection only, so that sending to it can fail
halfway as sending to the real network can.
"""
