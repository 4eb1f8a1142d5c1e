-- Groups open problems by cause. Problems of an unknown or archived customer have one cause per customer, all others
-- one per reason, event name and feature. Reasons and names are found by skipping through the index, and problems are
-- read from the index only: of each name at most `cap`, fewer if there are many names, so that the total is at most
-- 100,000 or so. `read_at_most` is this cap, and `is_capped` means that there are more problems.
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
), known AS MATERIALIZED (
    SELECT * FROM name LIMIT %(names)s
), bound AS MATERIALIZED (
    SELECT least(%(cap)s, CASE WHEN count(*) <= 10 THEN 10000 WHEN count(*) <= 50 THEN 2000 ELSE 200 END) AS cap FROM known
), read AS (
    SELECT
        known.reason, known.event_name, sampled.feature_id, sampled.external_customer_id,
        count(*) AS problems, min(sampled.occurred_at) AS first_at, max(sampled.occurred_at) AS last_at
    FROM known, LATERAL (
        SELECT feature_id, external_customer_id, occurred_at FROM events_problem
        WHERE state = 1 AND reason = known.reason AND event_name = known.event_name
        LIMIT (SELECT cap FROM bound)
    ) AS sampled
    GROUP BY 1, 2, 3, 4
), capped AS (
    SELECT reason, event_name, sum(problems) >= (SELECT cap FROM bound) AS is_capped FROM read GROUP BY 1, 2
)
SELECT
    reason,
    CASE WHEN reason IN ('unknown_customer', 'customer_archived') THEN '' ELSE event_name END AS event_name,
    CASE WHEN reason IN ('unknown_customer', 'customer_archived') THEN external_customer_id ELSE '' END AS external_id,
    feature_id,
    sum(problems)::bigint AS problems,
    bool_or(is_capped) AS is_capped,
    count(DISTINCT external_customer_id) AS customers,
    min(first_at) AS first_at,
    max(last_at) AS last_at,
    (SELECT cap FROM bound) AS read_at_most
FROM read JOIN capped USING (reason, event_name)
GROUP BY 1, 2, 3, 4
ORDER BY problems DESC, last_at DESC, reason, event_name, external_id
LIMIT %(causes)s
