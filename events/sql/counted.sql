-- The ledger's events that count, and what each adds. Recounts and partial hours share this definition, which has the
-- same rules as judge.sql and find.sql. `scope` joins `feature` and `event`.
SELECT
    {columns} event.customer_id, feature.id AS feature_id,
    date_bin('1 hour', event.occurred_at, '2000-01-01 00:00Z') AS hour,
    event.id, event.event_id, event.occurred_at, {number} AS number, {unique_key} AS unique_key
FROM {scope}
JOIN customers_customer AS customer ON customer.id = event.customer_id
CROSS JOIN LATERAL ({reading}) AS reading
WHERE event.state <> 4 AND {is_once}
    AND ({reason}) IS NULL
    AND (customer.archived_at IS NULL OR customer.archived_at > event.received_at)
    AND (event.state = 1 OR NOT EXISTS (
        SELECT FROM events_problem AS problem
        WHERE problem.event_id = event.id AND problem.state = 3
            AND (problem.feature_id IS NULL OR problem.feature_id = feature.id)
    ))
