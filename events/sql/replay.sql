-- Processes ledger events again with today's configuration, and updates their state, problems and hours.

-- :take  Loads events of the ledger into the batch, with today's customers of their external ids. Skips voided events,
-- and events in hours that retention has made final.
INSERT INTO batch (
    id, customer_id, customer_archived_at, api_key_id, occurred_at, received_at, has_timestamp,
    event_id, event_name, external_customer_id, source, properties
)
SELECT
    event.id, COALESCE(own.id, other.id), COALESCE(own.archived_at, other.archived_at), event.api_key_id,
    event.occurred_at, event.received_at, event.has_timestamp, event.event_id, event.event_name,
    event.external_customer_id, event.source, event.properties
FROM (
    SELECT * FROM events_event
    WHERE id = ANY(%(ids)s) AND state <> 4
        AND occurred_at >= COALESCE((SELECT max(horizon.hour) FROM events_ledgerhorizon AS horizon), '-infinity')
    ORDER BY id FOR UPDATE
) AS event
LEFT JOIN customers_customer AS own ON own.external_id = event.external_customer_id
LEFT JOIN customers_customeralias AS also ON also.alias = event.external_customer_id AND own.id IS NULL
LEFT JOIN customers_customer AS other ON other.id = also.customer_id

-- :take_sealed  The same for events that are sealed: see history.sql.
INSERT INTO batch (
    id, customer_id, customer_archived_at, api_key_id, occurred_at, received_at, has_timestamp,
    event_id, event_name, external_customer_id, source, properties
)
SELECT
    event.id, COALESCE(own.id, other.id), COALESCE(own.archived_at, other.archived_at), event.api_key_id,
    event.occurred_at, event.received_at, event.has_timestamp, event.event_id, event.event_name,
    event.external_customer_id, event.source, event.properties
FROM sealed AS event
LEFT JOIN customers_customer AS own ON own.external_id = event.external_customer_id
LEFT JOIN customers_customeralias AS also ON also.alias = event.external_customer_id AND own.id IS NULL
LEFT JOIN customers_customer AS other ON other.id = also.customer_id
WHERE event.id = ANY(%(ids)s) AND NOT EXISTS (SELECT FROM batch WHERE batch.id = event.id)
    AND event.occurred_at >= COALESCE((SELECT max(horizon.hour) FROM events_ledgerhorizon AS horizon), '-infinity')

-- :sealed_changes  Sealed events of the batch that don't simply stay as they are.
SELECT event.id FROM sealed AS event
JOIN batch ON batch.id = event.id
WHERE event.customer_id IS DISTINCT FROM batch.customer_id
    OR EXISTS (SELECT FROM finding WHERE finding.id = event.id)

-- :drop_dismissed  Problems that staff dismissed stay dismissed.
DELETE FROM finding USING events_problem AS problem
WHERE problem.event_id = finding.id AND problem.state = 3 AND problem.reason = finding.reason
    AND problem.feature_id IS NOT DISTINCT FROM finding.feature_id

-- :touch  The hours of these events, for every feature of their name, for the old and the new customer.
INSERT INTO touched (customer_id, feature_id, hour)
SELECT DISTINCT customer_id, feature_id, hour
FROM (
    SELECT hit.customer_id, hit.feature_id, hit.hour FROM hit
    UNION ALL
    SELECT event.customer_id, hit.feature_id, hit.hour FROM hit JOIN {ledger} AS event ON event.id = hit.id
) AS hours
WHERE customer_id IS NOT NULL
    AND hour >= COALESCE((SELECT max(horizon.hour) FROM events_ledgerhorizon AS horizon), '-infinity')
ON CONFLICT DO NOTHING

-- :close  Closes problems that no longer exist.
UPDATE events_problem AS problem
SET state = 2, closed_at = clock_timestamp(), closed_by_id = %(by)s, closing = %(closing)s
FROM batch
WHERE problem.event_id = batch.id AND problem.state = 1 AND NOT EXISTS (
    SELECT FROM finding
    WHERE finding.id = problem.event_id AND finding.reason = problem.reason
        AND finding.feature_id IS NOT DISTINCT FROM problem.feature_id
)

-- :settle  Sets each event's customer and state, and marks the events that change. With a dismissed problem, the event is dismissed unless it counts
-- partly.
UPDATE events_event AS event
SET customer_id = fresh.customer_id, state = fresh.state, is_touched = true
FROM (
    SELECT batch.id, batch.customer_id, CASE
        WHEN exception.state IS NOT NULL THEN exception.state
        WHEN EXISTS (
            SELECT FROM events_problem AS problem
            WHERE problem.event_id = batch.id AND problem.state = 3 AND (
                problem.feature_id IS NULL
                OR NOT EXISTS (
                    SELECT FROM hit WHERE hit.id = batch.id AND hit.reason IS NULL AND hit.feature_id <> problem.feature_id
                )
            )
        ) THEN 5
        WHEN EXISTS (
            SELECT FROM events_problem AS problem WHERE problem.event_id = batch.id AND problem.state = 3
        ) THEN 2
        ELSE 1
    END AS state
    FROM batch
    LEFT JOIN ({states}) AS exception ON exception.id = batch.id
) AS fresh
WHERE event.id = fresh.id AND (event.customer_id, event.state) IS DISTINCT FROM (fresh.customer_id, fresh.state)

-- :touch_hours
INSERT INTO touched (customer_id, feature_id, hour)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::timestamptz[]) AS hours (customer_id, feature_id, hour)
WHERE hour >= COALESCE((SELECT max(horizon.hour) FROM events_ledgerhorizon AS horizon), '-infinity')
ON CONFLICT DO NOTHING

-- :events_of_hours
SELECT DISTINCT event.id
FROM (SELECT DISTINCT customer_id, hour FROM touched) AS touched
JOIN {ledger} AS event
    ON event.customer_id = touched.customer_id
    AND event.occurred_at >= touched.hour AND event.occurred_at < touched.hour + interval '1 hour'
