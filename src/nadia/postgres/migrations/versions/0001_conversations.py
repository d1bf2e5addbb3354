"""Conversations: people, messages, batches and what is on record about them."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UP = """
CREATE TABLE telegram_accounts (
    id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    network text NOT NULL CHECK (network IN ('sandbox', 'telegram')),
    -- Ownership: exactly one process acts for an account; see accounts' lease in telegram/ownership.py.
    holder text,
    fencing_token bigint NOT NULL DEFAULT 0,
    expires_at timestamptz,
    -- The network's own position; stored only after every row up to it is committed.
    update_state jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    network text NOT NULL CHECK (network IN ('sandbox', 'telegram')),
    telegram_user_id bigint NOT NULL,
    name text NOT NULL,
    username text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (network, telegram_user_id)
);

CREATE TABLE conversations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_account_id text NOT NULL REFERENCES telegram_accounts (id),
    chat_id bigint NOT NULL,
    person_id bigint NOT NULL REFERENCES people (id),
    partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
    -- Rises with every inbound event; what a draft or an approval answers is compared with it.
    revision bigint NOT NULL DEFAULT 0,
    -- Replies sent; with the revision it tells whether a memory of the conversation is up to date.
    replies bigint NOT NULL DEFAULT 0,
    disclosed_at timestamptz,
    last_inbound_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (telegram_account_id, chat_id)
);
CREATE INDEX conversations_by_person ON conversations (person_id);

CREATE TABLE batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id bigint NOT NULL REFERENCES conversations (id),
    state text NOT NULL CHECK (state IN (
        'sealed', 'drafted', 'in_review', 'approved', 'sending', 'sent', 'rejected', 'expired', 'parked')),
    priority smallint NOT NULL DEFAULT 0,
    -- Which draft of this batch is wanted; rises with each redraft.
    revision integer NOT NULL DEFAULT 1,
    -- The conversation's revision when the newest member joined.
    conversation_revision bigint NOT NULL,
    -- Attempts at this revision's draft that began and did not end in order.
    drafting_attempts smallint NOT NULL DEFAULT 0,
    -- Somebody drafts it until then; also the name of that attempt, for nobody else has the same.
    drafting_until timestamptz,
    no_draft_reason text,
    parked_from text,
    parked_reason text,
    claimed_by bigint,
    claim_expires_at timestamptz,
    sealed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK ((state = 'parked') = (parked_from IS NOT NULL)),
    CHECK ((claimed_by IS NULL) = (claim_expires_at IS NULL))
);
-- A conversation has at most one open item, which later messages join.
CREATE UNIQUE INDEX batches_one_open_per_conversation ON batches (conversation_id)
    WHERE state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending');
CREATE INDEX batches_open_by_state ON batches (state, priority DESC, sealed_at)
    WHERE state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending', 'parked');
-- The desk shows what was decided lately.
CREATE INDEX batches_by_change ON batches (changed_at DESC);
CREATE INDEX batches_by_conversation ON batches (conversation_id, id);

CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    conversation_id bigint NOT NULL REFERENCES conversations (id),
    telegram_account_id text NOT NULL,
    chat_id bigint NOT NULL,
    telegram_message_id bigint NOT NULL,
    direction text NOT NULL CHECK (direction IN ('in', 'out')),
    author text NOT NULL CHECK (author IN ('customer', 'desk', 'phone')),
    kind text NOT NULL,
    text text NOT NULL,
    reply_to bigint,
    sent_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    edited_at timestamptz,
    deleted_at timestamptz,
    batch_id bigint REFERENCES batches (id),
    UNIQUE (telegram_account_id, chat_id, telegram_message_id)
);
CREATE INDEX messages_by_conversation ON messages (conversation_id, id);
CREATE INDEX messages_by_batch ON messages (batch_id) WHERE batch_id IS NOT NULL;
-- Pacing: what belongs to no batch yet.
CREATE INDEX messages_unsealed ON messages (conversation_id, id) WHERE batch_id IS NULL AND direction = 'in';
-- Deletions in private chats carry no chat.
CREATE INDEX messages_by_telegram_id ON messages (telegram_account_id, telegram_message_id);

-- What Telegram handed over and could not be put on record: kept whole, so that reading could go on.
CREATE TABLE parked_updates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_account_id text NOT NULL REFERENCES telegram_accounts (id),
    event text NOT NULL,
    payload jsonb NOT NULL,
    error text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX parked_updates_by_account ON parked_updates (telegram_account_id, id);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, id);

CREATE TABLE notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    topic text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    summary text NOT NULL,
    labels jsonb NOT NULL DEFAULT '{}',
    drained_at timestamptz
);
CREATE INDEX notices_waiting ON notices (id) WHERE drained_at IS NULL;

CREATE TABLE pauses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    activity text NOT NULL CHECK (activity IN ('sending', 'drafting')),
    -- NULL pauses all accounts.
    telegram_account_id text REFERENCES telegram_accounts (id),
    reason text NOT NULL,
    paused_by text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX pauses_one_per_scope ON pauses (activity, coalesce(telegram_account_id, ''));
"""

DOWN = """
DROP TABLE pauses;
DROP TABLE notices;
DROP TABLE audit_log;
DROP TABLE parked_updates;
DROP TABLE messages;
DROP TABLE batches;
DROP TABLE conversations;
DROP TABLE people;
DROP TABLE telegram_accounts;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
