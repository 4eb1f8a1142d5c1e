-- Writes the batch to the ledger. Each event_id is stored only once, ever: of two in a batch, the earlier arrival.
-- Ordered by event_id, so that two workers with the same ids wait for each other instead of deadlocking.
INSERT INTO events_event (
    id, customer_id, api_key_id, occurred_at, received_at, processed_at, state, has_timestamp,
    event_id, event_name, external_customer_id, source, properties
)
SELECT
    event.id, event.customer_id, event.api_key_id, event.occurred_at, event.received_at, clock_timestamp(),
    COALESCE(exception.state, 1), event.has_timestamp, event.event_id, event.event_name, event.external_customer_id,
    event.source, event.properties
FROM batch AS event
LEFT JOIN ({states}) AS exception ON exception.id = event.id
WHERE NOT EXISTS (SELECT FROM events_knownid AS known WHERE known.key = events_key(event.event_id))
ORDER BY event.event_id, event.id
ON CONFLICT (event_id) DO NOTHING
