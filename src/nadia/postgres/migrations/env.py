"""Alembic's entry point; `nadia.postgres.schema` sets the connection or asks for SQL text."""

from alembic import context

# A migration that has to wait for a lock, or takes too long, gives up instead of holding up the desk.
LIMITS = ("SET lock_timeout = '10s'", "SET statement_timeout = '10min'")

connection = context.config.attributes.get("connection")

if context.is_offline_mode():
    # Several revisions where branches have been applied, which Alembic takes and its annotation does not know.
    found = context.config.attributes["found"] or "base"
    context.configure(dialect_name="postgresql", literal_binds=True, starting_rev=found)
    for statement in LIMITS:
        context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()
else:
    assert connection is not None, "nadia.postgres.schema passes one"
    for statement in LIMITS:
        connection.exec_driver_sql(statement)
    connection.commit()
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
