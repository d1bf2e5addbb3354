"""Messages stand in Telegram's order, also those that are read late."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """
-- Where a message stands whose own id in Telegram nobody knows, and which therefore has one below zero.
ALTER TABLE messages ADD COLUMN after_message_id bigint;
CREATE INDEX messages_by_place
    ON messages (conversation_id, (coalesce(after_message_id, telegram_message_id)), id);
UPDATE messages m SET after_message_id = coalesce(
    (SELECT o.after_message_id FROM outbox o WHERE o.id = -m.telegram_message_id),
    (SELECT max(n.telegram_message_id) FROM messages n WHERE n.conversation_id = m.conversation_id AND n.id < m.id),
    0
) WHERE m.telegram_message_id < 0;
"""

DOWN = """
DROP INDEX messages_by_place;
ALTER TABLE messages DROP COLUMN after_message_id;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
