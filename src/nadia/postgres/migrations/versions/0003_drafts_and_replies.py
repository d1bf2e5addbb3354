"""Drafts, review decisions and the outbox."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE drafts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL REFERENCES batches (id),
    revision integer NOT NULL,
    -- The conversation's revision that this draft answers.
    conversation_revision bigint NOT NULL,
    bubbles text[] NOT NULL CHECK (cardinality(bubbles) > 0),
    profile text NOT NULL,
    model text NOT NULL,
    -- How sure the drafter is, 0 to 1; NULL where the model does not say.
    score real,
    risk real,
    flags jsonb NOT NULL DEFAULT '[]',
    input_tokens integer NOT NULL DEFAULT 0,
    output_tokens integer NOT NULL DEFAULT 0,
    cost_usd numeric(14, 8) NOT NULL DEFAULT 0,
    latency_ms integer NOT NULL,
    constitution_version text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (batch_id, revision)
);

CREATE TABLE review_decisions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id bigint NOT NULL REFERENCES batches (id),
    draft_id bigint REFERENCES drafts (id),
    account_id bigint NOT NULL REFERENCES accounts (id),
    decision text NOT NULL CHECK (decision IN ('approve', 'reject', 'redraft', 'undo')),
    -- What was approved, to the letter.
    bubbles text[],
    edited boolean NOT NULL DEFAULT false,
    conversation_revision bigint NOT NULL,
    despite_newer boolean NOT NULL DEFAULT false,
    reason text,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((decision = 'approve') = (bubbles IS NOT NULL))
);
CREATE INDEX review_decisions_by_batch ON review_decisions (batch_id, id);
CREATE INDEX review_decisions_by_draft ON review_decisions (draft_id) WHERE draft_id IS NOT NULL;
CREATE INDEX review_decisions_by_account ON review_decisions (account_id, id);

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision_id bigint NOT NULL REFERENCES review_decisions (id),
    batch_id bigint NOT NULL REFERENCES batches (id),
    conversation_id bigint NOT NULL REFERENCES conversations (id),
    telegram_account_id text NOT NULL,
    position smallint NOT NULL,
    text text NOT NULL,
    -- Created with the row, never inside a retry loop: Telegram drops a repeated one.
    random_id bigint NOT NULL CHECK (random_id <> 0),
    -- Of the conversation at approval; a newer one at sending means stale.
    conversation_revision bigint NOT NULL,
    discloses boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'cancelled', 'parked')),
    send_after timestamptz NOT NULL,
    attempts smallint NOT NULL DEFAULT 0,
    sending_since timestamptz,
    -- Telegram's newest id known of the chat when the oldest open attempt began: what came of it has a greater one.
    after_message_id bigint,
    last_error text,
    telegram_message_id bigint,
    sent_at timestamptz,
    UNIQUE (telegram_account_id, random_id),
    UNIQUE (decision_id, position),
    CHECK ((state = 'sent') = (telegram_message_id IS NOT NULL))
);
CREATE INDEX outbox_waiting ON outbox (telegram_account_id, send_after) WHERE state IN ('queued', 'sending');
CREATE INDEX outbox_by_batch ON outbox (batch_id, id);
CREATE INDEX outbox_by_conversation ON outbox (conversation_id, id);
-- Claims name the person who holds them.
ALTER TABLE batches ADD CONSTRAINT batches_claimed_by_fkey
    FOREIGN KEY (claimed_by) REFERENCES accounts (id) NOT VALID;
"""

DOWN = """
ALTER TABLE batches DROP CONSTRAINT batches_claimed_by_fkey;
DROP TABLE outbox;
DROP TABLE review_decisions;
DROP TABLE drafts;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
