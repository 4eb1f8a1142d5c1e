-- Groups open problems by their cause: the reason, and what tells causes of that reason apart. An unknown customer is one
-- cause whatever the events are called; any other problem is one per event name and feature.
-- Every reason and name is found by hopping over the index; of each at most `cap` problems are read, so the cost is
-- bounded however many are open. `is_capped` says that there are more.
WITH RECURSIVE name (reason, event_name) AS (
    (
        SELECT reason, event_name FROM events_problem WHERE state = 1
        ORDER BY reason, event_name LIMIT 1
    )
    UNION ALL
    SELECT following.reason, following.event_name
    FROM name, LATERAL (
        SELECT reason, event_name FROM events_problem
        WHERE state = 1 AND (reason, event_name) > (name.reason, name.event_name)
        ORDER BY reason, event_name LIMIT 1
    ) AS following
), read AS (
    SELECT name.reason, name.event_name, sampled.*, count(*) OVER (PARTITION BY name.reason, name.event_name) AS read
    FROM (SELECT * FROM name LIMIT %(names)s) AS name, LATERAL (
        SELECT feature_id, external_customer_id, occurred_at, created_at FROM events_problem
        WHERE state = 1 AND reason = name.reason AND event_name = name.event_name
        LIMIT %(cap)s
    ) AS sampled
)
SELECT
    reason,
    CASE WHEN reason IN ('unknown_customer', 'customer_archived') THEN '' ELSE event_name END AS event_name,
    CASE WHEN reason IN ('unknown_customer', 'customer_archived') THEN external_customer_id ELSE '' END AS external_id,
    feature_id,
    count(*) AS problems,
    bool_or(read >= %(cap)s) AS is_capped,
    count(DISTINCT external_customer_id) AS customers,
    min(occurred_at) AS first_at,
    max(occurred_at) AS last_at,
    max(created_at) AS seen_at
FROM read
GROUP BY 1, 2, 3, 4
ORDER BY problems DESC, last_at DESC, reason, event_name, external_id
LIMIT %(causes)s
