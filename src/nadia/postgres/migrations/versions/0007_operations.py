"""Operations: who leads, what is told of what, and how fast it once was."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UP = """
-- What exactly one process may do at a time; see postgres/leases.py.
CREATE TABLE leases (
    name text PRIMARY KEY,
    holder text,
    fencing_token bigint NOT NULL DEFAULT 0,
    expires_at timestamptz
);

-- The last run of each scheduled job, and the last one whose outcome was counted; see daemon/ledger.py.
CREATE TABLE daemon_jobs (
    job text PRIMARY KEY,
    due_at timestamptz,
    -- Not finished and not past this: it may still run somewhere.
    ends_by timestamptz,
    finished_at timestamptz,
    fencing_token bigint,
    counted_due_at timestamptz
);

-- What the daemon watches for: how often in a row it was so, and how badly it was told of (null: not at all).
CREATE TABLE daemon_conditions (
    job text NOT NULL,
    topic text NOT NULL,
    subject text NOT NULL,
    times integer NOT NULL,
    told text CHECK (told IN ('info', 'warning', 'critical')),
    PRIMARY KEY (job, topic, subject)
);

-- Since when the owner acts for the account; a check asks whether it ought to have said something by now.
ALTER TABLE telegram_accounts ADD COLUMN owned_since timestamptz;

-- Notices of one fingerprint tell of one thing; older rows have none.
ALTER TABLE notices ADD COLUMN fingerprint text;
ALTER TABLE notices ADD COLUMN resolves boolean NOT NULL DEFAULT false;
CREATE INDEX notices_by_fingerprint ON notices (fingerprint, id DESC);
CREATE INDEX notices_by_time ON notices (at DESC);
-- What people were told about a customer, their batches and chats.
CREATE INDEX notices_by_label ON notices USING gin (labels jsonb_path_ops);

-- Somebody knows of it and looks after it, until something newer of the same fingerprint resolves it.
CREATE TABLE alert_acknowledgements (
    fingerprint text PRIMARY KEY,
    -- The newest of its notices then: a resolve after it ends the acknowledgement.
    notice_id bigint NOT NULL,
    acknowledged_by text NOT NULL,
    note text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE alert_silences (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- [{"name": …, "value": …}], all of which must be equal; the topic is the label "topic".
    matchers jsonb NOT NULL CHECK (jsonb_array_length(matchers) > 0),
    starts_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ends_at timestamptz NOT NULL,
    created_by text NOT NULL,
    reason text NOT NULL,
    CHECK (ends_at > starts_at)
);
CREATE INDEX alert_silences_by_end ON alert_silences (ends_at);

-- Figures of one measurement, to compare later ones with.
CREATE TABLE performance_baselines (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    measured_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    measured_by text NOT NULL,
    -- Made by the schedule, and pruned by it.
    automatic boolean NOT NULL,
    machine jsonb NOT NULL,
    figures jsonb NOT NULL
);
"""

DOWN = """
DROP TABLE performance_baselines;
DROP TABLE alert_silences;
DROP TABLE alert_acknowledgements;
DROP INDEX notices_by_label;
DROP INDEX notices_by_time;
DROP INDEX notices_by_fingerprint;
ALTER TABLE notices DROP COLUMN resolves;
ALTER TABLE notices DROP COLUMN fingerprint;
ALTER TABLE telegram_accounts DROP COLUMN owned_since;
DROP TABLE daemon_conditions;
DROP TABLE daemon_jobs;
DROP TABLE leases;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
