"""Telegram for real: sessions, peers, and what messages carry besides text."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = """
-- What a message carries besides its text; see nadia.telegram.gateway.Media.
ALTER TABLE messages ADD COLUMN media jsonb;
-- Kept out of sealing until somebody decides: the customer is silenced (quarantine).
ALTER TABLE messages ADD COLUMN held_at timestamptz;

-- When the update state was stored: how far behind a new owner would begin.
ALTER TABLE telegram_accounts ADD COLUMN update_state_at timestamptz;

CREATE TABLE telegram_sessions (
    telegram_account_id text PRIMARY KEY REFERENCES telegram_accounts (id),
    -- Encrypted with the key that the settings name; without it this is worth nothing.
    ciphertext bytea NOT NULL,
    user_id bigint NOT NULL,
    is_bot boolean NOT NULL,
    -- Rises with each log-in, so that whoever uses the session notices a new one.
    version integer NOT NULL DEFAULT 1,
    logged_in_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    revoked_reason text,
    CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);

-- The access hash that an account needs to write to a peer; each account has its own.
CREATE TABLE telegram_entities (
    telegram_account_id text NOT NULL REFERENCES telegram_accounts (id),
    user_id bigint NOT NULL,
    access_hash bigint NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (telegram_account_id, user_id)
);
"""

DOWN = """
DROP TABLE telegram_entities;
DROP TABLE telegram_sessions;
ALTER TABLE telegram_accounts DROP COLUMN update_state_at;
ALTER TABLE messages DROP COLUMN held_at;
ALTER TABLE messages DROP COLUMN media;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
