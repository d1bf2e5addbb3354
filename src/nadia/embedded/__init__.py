"""PostgreSQL and Redis for one machine, started and owned by NADIA.

`EmbeddedServers` is the whole of it; `Home` is the folder that everything of one installation lives in.
"""
