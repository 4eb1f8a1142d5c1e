-- Moves the oldest waiting events that no other worker holds into the batch, and finds their customers.
-- Rolled back, they wait again. A customer's own external id goes before an alias of the same spelling.
WITH claimed AS (
    DELETE FROM events_inboxevent
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM events_inboxevent ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    ))
    RETURNING *
)
INSERT INTO batch (
    id, customer_id, customer_archived_at, api_key_id, occurred_at, received_at, has_timestamp,
    event_id, event_name, external_customer_id, source, properties
)
SELECT
    claimed.id, COALESCE(own.id, other.id), COALESCE(own.archived_at, other.archived_at), claimed.api_key_id,
    claimed.occurred_at, claimed.received_at, claimed.has_timestamp, claimed.event_id, claimed.event_name,
    claimed.external_customer_id, claimed.source, claimed.properties
FROM claimed
LEFT JOIN customers_customer AS own ON own.external_id = claimed.external_customer_id
LEFT JOIN customers_customeralias AS also ON also.alias = claimed.external_customer_id AND own.id IS NULL
LEFT JOIN customers_customer AS other ON other.id = also.customer_id
