"""PostgreSQL, the truth: pools, transactions and the schema."""
