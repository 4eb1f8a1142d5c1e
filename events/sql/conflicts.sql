-- Groups open conflicts by cause: the API key that sent them, and the most telling difference. Causes are found by skipping
-- through the index, and of each the newest `cap` conflicts are read, so that no number of conflicts makes this slow.
WITH RECURSIVE cause (sender, difference) AS (
    (
        SELECT COALESCE(api_key_id, 0), COALESCE(differs[1], 'properties') FROM events_duplicateevent
        WHERE kind = 'conflict' AND dismissed_at IS NULL
        ORDER BY 1, 2 LIMIT 1
    )
    UNION ALL
    SELECT following.sender, following.difference
    FROM cause, LATERAL (
        SELECT COALESCE(api_key_id, 0) AS sender, COALESCE(differs[1], 'properties') AS difference
        FROM events_duplicateevent
        WHERE kind = 'conflict' AND dismissed_at IS NULL
            AND (COALESCE(api_key_id, 0), COALESCE(differs[1], 'properties')) > (cause.sender, cause.difference)
        ORDER BY 1, 2 LIMIT 1
    ) AS following
), known AS MATERIALIZED (
    SELECT * FROM cause LIMIT %(causes)s
)
SELECT
    NULLIF(known.sender, 0) AS api_key_id,
    known.difference,
    count(*) AS events,
    count(*) >= %(cap)s AS is_capped,
    count(DISTINCT newest.external_customer_id) AS customers,
    COALESCE((array_agg(DISTINCT newest.source) FILTER (WHERE newest.source <> ''))[1:5], '{}') AS sources,
    (array_agg(newest.event_id ORDER BY newest.id DESC))[1:3] AS event_ids,
    min(newest.first_at) AS first_at,
    max(newest.last_at) AS last_at
FROM known, LATERAL (
    SELECT id, event_id, external_customer_id, source, first_at, last_at FROM events_duplicateevent
    WHERE kind = 'conflict' AND dismissed_at IS NULL
        AND COALESCE(api_key_id, 0) = known.sender AND COALESCE(differs[1], 'properties') = known.difference
    ORDER BY id DESC LIMIT %(cap)s
) AS newest
GROUP BY known.sender, known.difference
ORDER BY events DESC, last_at DESC, api_key_id, difference
