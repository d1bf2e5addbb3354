"""PostgreSQL, the truth: pools, transactions and the schema."""

from nadia.postgres.config import PostgresSettings
from nadia.postgres.database import Connection, Database, DatabaseError, Row

__all__ = ["Connection", "Database", "DatabaseError", "PostgresSettings", "Row"]
