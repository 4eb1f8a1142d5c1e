-- The worker's scratch tables: a batch, its hits (how each feature counts each event), and its findings (why events
-- don't count). A commit empties them.
CREATE TEMPORARY TABLE IF NOT EXISTS batch (
    id bigint NOT NULL,
    customer_id bigint,
    customer_archived_at timestamptz,
    api_key_id bigint,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    has_timestamp boolean NOT NULL,
    event_id text NOT NULL,
    event_name text NOT NULL,
    external_customer_id text NOT NULL,
    source text NOT NULL,
    properties jsonb NOT NULL
) ON COMMIT DELETE ROWS;

CREATE TEMPORARY TABLE IF NOT EXISTS hit (
    id bigint NOT NULL,
    customer_id bigint,
    feature_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    checksum bigint NOT NULL,
    number numeric,
    unique_key text,
    reason text
) ON COMMIT DELETE ROWS;

CREATE TEMPORARY TABLE IF NOT EXISTS finding (
    id bigint NOT NULL,
    feature_id bigint,
    reason text NOT NULL
) ON COMMIT DELETE ROWS;
