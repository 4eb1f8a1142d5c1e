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
