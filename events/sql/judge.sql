-- Determines for each event of the batch and each feature of its name what the event adds, or why it doesn't count.
INSERT INTO hit (id, customer_id, feature_id, hour, occurred_at, checksum, number, unique_key, reason)
SELECT
    event.id, event.customer_id, feature.id, date_bin('1 hour', event.occurred_at, '2000-01-01 00:00Z'),
    event.occurred_at, hashtextextended(event.event_id, 0),
    {number}, {unique_key}, {reason}
FROM batch AS event
JOIN ({names}) AS named ON named.name = event.event_name
JOIN catalog_feature AS feature ON feature.id = named.id
CROSS JOIN LATERAL ({reading}) AS reading
