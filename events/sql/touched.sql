-- The hours that a replay recounts, and their counted events.
CREATE TEMPORARY TABLE IF NOT EXISTS touched (
    customer_id bigint NOT NULL,
    feature_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    PRIMARY KEY (customer_id, feature_id, hour)
) ON COMMIT DELETE ROWS;

CREATE TEMPORARY TABLE IF NOT EXISTS recounted (
    customer_id bigint NOT NULL,
    feature_id bigint NOT NULL,
    hour timestamptz NOT NULL,
    id bigint NOT NULL,
    event_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    number numeric,
    unique_key text
) ON COMMIT DELETE ROWS;
