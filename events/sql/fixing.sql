-- :found_customers  External ids with problems of an unknown or archived customer that now belong to an active
-- customer. Skips through the distinct ids of the index instead of reading every problem.
WITH RECURSIVE waiting AS (
    (
        SELECT external_customer_id FROM events_problem
        WHERE state = 1 AND reason IN ('unknown_customer', 'customer_archived')
        ORDER BY external_customer_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT next.external_customer_id FROM events_problem AS next
        WHERE next.state = 1 AND next.reason IN ('unknown_customer', 'customer_archived')
            AND next.external_customer_id > waiting.external_customer_id
        ORDER BY next.external_customer_id LIMIT 1
    )
    FROM waiting WHERE waiting.external_customer_id IS NOT NULL
)
SELECT waiting.external_customer_id
FROM waiting
LEFT JOIN customers_customer AS own ON own.external_id = waiting.external_customer_id
LEFT JOIN customers_customeralias AS also ON also.alias = waiting.external_customer_id AND own.id IS NULL
LEFT JOIN customers_customer AS other ON other.id = also.customer_id
WHERE COALESCE(own.id, other.id) IS NOT NULL AND COALESCE(own.archived_at, other.archived_at) IS NULL

-- :sent_values  The values of filtered properties that the newest events without a matching filter carry. The values of
-- a variant don't change.
SELECT feature.id, feature.name, allowed.key, sent.value, count(*)
FROM (
    SELECT event.event_name, event.properties
    FROM events_problem AS problem
    JOIN events_event AS event ON event.id = problem.event_id
    WHERE problem.state = 1 AND problem.reason = 'filter_mismatch' AND problem.event_name = %(event_name)s
    ORDER BY problem.id DESC
    LIMIT %(most)s
) AS event
JOIN ({names}) AS named ON named.name = event.event_name
JOIN catalog_feature AS feature ON feature.id = named.id
CROSS JOIN LATERAL jsonb_each(feature.filters) AS allowed
CROSS JOIN LATERAL (
    SELECT event_text(COALESCE(event.properties -> allowed.key, event_path(event.properties, allowed.key))) AS value
) AS sent
WHERE sent.value IS NOT NULL AND feature.variant_of_id IS NULL AND NOT allowed.value @> to_jsonb(sent.value)
GROUP BY feature.id, feature.name, allowed.key, sent.value
ORDER BY count(*) DESC, feature.name, allowed.key, sent.value
LIMIT 100
