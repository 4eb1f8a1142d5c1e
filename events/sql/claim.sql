-- Claims the oldest waiting requests, and finds the customers of their events.

-- :choose  Locks the oldest requests of customers that no other worker holds, one by one, until they have enough events.
SELECT events_claim(%(limit)s)

-- :take  Moves the claimed requests' events into the batch. After a rollback they are waiting again.
-- A customer's external id takes precedence over an equal alias.
WITH claimed AS (
    DELETE FROM events_inboxrequest WHERE id = ANY(%(requests)s::bigint[]) RETURNING *
)
INSERT INTO batch (
    id, customer_id, customer_archived_at, api_key_id, occurred_at, received_at, has_timestamp,
    event_id, event_name, external_customer_id, source, properties
)
SELECT
    event.id, COALESCE(own.id, other.id), COALESCE(own.archived_at, other.archived_at), claimed.api_key_id,
    COALESCE(event.occurred_at, claimed.received_at), claimed.received_at, event.occurred_at IS NOT NULL,
    event.event_id, event.event_name, event.external_customer_id, event.source, event.properties
FROM claimed
CROSS JOIN LATERAL unnest(
    claimed.ids, claimed.event_ids, claimed.event_names, claimed.external_customer_ids, claimed.occurred_at,
    claimed.sources, claimed.properties
) AS event (id, event_id, event_name, external_customer_id, occurred_at, source, properties)
LEFT JOIN customers_customer AS own ON own.external_id = event.external_customer_id
LEFT JOIN customers_customeralias AS also ON also.alias = event.external_customer_id AND own.id IS NULL
LEFT JOIN customers_customer AS other ON other.id = also.customer_id
