"""Quarantine, the silence protocol: who is silenced, what became of their messages, and who decided it."""

from alembic import op

revision = "quarantine_0001"
down_revision = None
branch_labels = ("quarantine",)
depends_on = "0004"

UP = """
-- One row for each person who is silenced at the moment.
CREATE TABLE user_protocol_status (
    person_id bigint PRIMARY KEY REFERENCES people (id),
    reason text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 500),
    activated_by text NOT NULL,
    activated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- How long what this person writes waits for a decision; from the settings of the day.
    keeps interval NOT NULL CHECK (keeps > interval '0'),
    -- What is sealed next may pass, once.
    pass_granted_at timestamptz,
    pass_granted_by text,
    CHECK ((pass_granted_at IS NULL) = (pass_granted_by IS NULL))
);

-- Every step of the protocol; nothing is ever changed in here.
CREATE TABLE protocol_audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    person_id bigint NOT NULL REFERENCES people (id),
    event text NOT NULL CHECK (event IN (
        'activated', 'deactivated', 'pass_granted', 'pass_used', 'held', 'released', 'discarded', 'expired')),
    actor text NOT NULL,
    reason text CHECK (char_length(reason) BETWEEN 1 AND 500),
    messages integer NOT NULL DEFAULT 0 CHECK (messages >= 0),
    -- What a person decides has a reason.
    CHECK (reason IS NOT NULL OR event IN ('held', 'pass_used', 'expired'))
);
CREATE INDEX protocol_audit_log_by_person ON protocol_audit_log (person_id, id);

-- What became of each message that a silence kept from being answered. The text stays in messages.
CREATE TABLE quarantine_messages (
    message_id bigint PRIMARY KEY REFERENCES messages (id),
    person_id bigint NOT NULL REFERENCES people (id),
    -- A released message may be answered while the silence goes on.
    state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'released', 'discarded', 'expired')),
    held_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    settled_at timestamptz,
    settled_by text,
    CHECK (expires_at > held_at),
    CHECK ((state = 'held') = (settled_at IS NULL)),
    CHECK ((settled_at IS NULL) = (settled_by IS NULL))
);
CREATE INDEX quarantine_messages_by_person ON quarantine_messages (person_id, message_id);
CREATE INDEX quarantine_messages_held ON quarantine_messages (expires_at, person_id) WHERE state = 'held';
"""

# Without the tables nobody is silenced: what waits for a decision goes the way of every message.
DOWN = """
UPDATE messages SET held_at = NULL WHERE held_at IS NOT NULL AND batch_id IS NULL;
DROP TABLE quarantine_messages;
DROP TABLE protocol_audit_log;
DROP TABLE user_protocol_status;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
