"""Recovery after downtime: how far an account is on record, what is being read again, and what came of it."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
-- Everything of the account up to this message was found on record, or put there.
CREATE TABLE recovery_cursors (
    telegram_account_id text PRIMARY KEY REFERENCES telegram_accounts (id),
    message_id bigint NOT NULL CHECK (message_id >= 0),
    verified_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A stretch of an account's messages of which something may be missing: all after this one.
CREATE TABLE recovery_gaps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_account_id text NOT NULL REFERENCES telegram_accounts (id),
    after_message_id bigint NOT NULL CHECK (after_message_id >= 0),
    -- Of an account that was never read before: nothing older is looked for.
    not_before timestamptz,
    -- Why it was opened, or opened wider the last time.
    reason text NOT NULL CHECK (reason IN ('start', 'reconnect', 'updates_lost', 'request', 'schedule')),
    -- When it was last known that edits and deletions may be missing too, not only messages; NULL where none are.
    updates_lost_at timestamptz,
    -- What is on record is compared with Telegram, in chats read before this moment once more; NULL where it is not.
    compare_since timestamptz,
    -- Whether something is known to be missing, so that replies wait; not so where it is only looked again.
    holds_replies boolean NOT NULL DEFAULT true,
    -- Rises each time it is opened wider; a scan that began before does not close it.
    generation integer NOT NULL DEFAULT 1,
    -- Up to which generation it is known which chats have something newer.
    listed_generation integer,
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at timestamptz,
    -- Why part of it can never be read; NULL where all of it was.
    unreadable text
);
-- One low-water mark for each account.
CREATE UNIQUE INDEX recovery_gaps_one_open_per_account ON recovery_gaps (telegram_account_id)
    WHERE closed_at IS NULL;

-- One run of the recovery agent over a gap.
CREATE TABLE recovery_operations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_account_id text NOT NULL REFERENCES telegram_accounts (id),
    gap_id bigint NOT NULL REFERENCES recovery_gaps (id),
    reason text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'done', 'interrupted', 'failed')),
    fencing_token bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- The last sign of life.
    progressed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    dialogs_seen integer NOT NULL DEFAULT 0,
    -- Chats to read in this run, by the age of their newest message; and how many of them are done.
    chats_tier_1 integer NOT NULL DEFAULT 0,
    chats_tier_2 integer NOT NULL DEFAULT 0,
    chats_tier_3 integer NOT NULL DEFAULT 0,
    chats_done integer NOT NULL DEFAULT 0,
    messages_found integer NOT NULL DEFAULT 0,
    messages_recorded integer NOT NULL DEFAULT 0,
    messages_duplicate integer NOT NULL DEFAULT 0,
    -- Of those recorded: too old to be answered without a person.
    messages_too_old integer NOT NULL DEFAULT 0,
    edits integer NOT NULL DEFAULT 0,
    deletions integer NOT NULL DEFAULT 0,
    errors integer NOT NULL DEFAULT 0,
    -- Seconds spent waiting because Telegram asked for it.
    flood_wait_seconds double precision NOT NULL DEFAULT 0,
    -- What ended it, or what is worth knowing about it.
    error text,
    CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX recovery_operations_one_running_per_account ON recovery_operations (telegram_account_id)
    WHERE state = 'running';
CREATE INDEX recovery_operations_by_account ON recovery_operations (telegram_account_id, id DESC);
CREATE INDEX recovery_operations_by_time ON recovery_operations (started_at DESC);
CREATE INDEX recovery_operations_by_gap ON recovery_operations (gap_id);

-- How far each chat of a gap was read: where an interrupted run goes on.
CREATE TABLE recovery_chats (
    gap_id bigint NOT NULL REFERENCES recovery_gaps (id),
    chat_id bigint NOT NULL,
    telegram_account_id text NOT NULL REFERENCES telegram_accounts (id),
    tier smallint NOT NULL CHECK (tier BETWEEN 1 AND 3),
    top_message_id bigint NOT NULL,
    top_sent_at timestamptz NOT NULL,
    -- Read and on record up to this one.
    through_message_id bigint NOT NULL,
    -- Of a chat of which nothing is on record: nothing older is looked for.
    not_before timestamptz,
    -- A chat that failed is carried over into the account's next gap, and tried again there.
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed', 'carried')),
    -- The run that took it up last, and how many could not finish it.
    operation_id bigint REFERENCES recovery_operations (id),
    attempts smallint NOT NULL DEFAULT 0,
    error text,
    -- What was said before and during the gap, as drafting is told it.
    summary text,
    summarised_at timestamptz,
    done_at timestamptz,
    PRIMARY KEY (gap_id, chat_id)
);
-- What is left to read, most urgent first.
CREATE INDEX recovery_chats_pending ON recovery_chats (gap_id, tier, top_message_id DESC) WHERE state = 'pending';
CREATE INDEX recovery_chats_failed ON recovery_chats (telegram_account_id) WHERE state = 'failed';
CREATE INDEX recovery_chats_by_summary ON recovery_chats (summarised_at) WHERE summarised_at IS NOT NULL;
CREATE INDEX recovery_chats_by_operation ON recovery_chats (operation_id);
CREATE INDEX recovery_chats_by_chat ON recovery_chats (telegram_account_id, chat_id, gap_id DESC);

-- What a person asks of the process that owns the account: nobody else may talk to Telegram for it.
CREATE TABLE recovery_requests (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    telegram_account_id text NOT NULL REFERENCES telegram_accounts (id),
    kind text NOT NULL CHECK (kind IN ('run', 'plan')),
    requested_by text NOT NULL,
    -- When it was asked for, or last waited for.
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_at timestamptz,
    answered_at timestamptz,
    answer jsonb,
    error text
);
CREATE INDEX recovery_requests_waiting ON recovery_requests (telegram_account_id, id) WHERE answered_at IS NULL;

-- The operation that put the message on record; NULL for those that came live.
ALTER TABLE messages ADD COLUMN recovered_by bigint;
"""

DOWN = """
ALTER TABLE messages DROP COLUMN recovered_by;
DROP TABLE recovery_requests;
DROP TABLE recovery_chats;
DROP TABLE recovery_operations;
DROP TABLE recovery_gaps;
DROP TABLE recovery_cursors;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
