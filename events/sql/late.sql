-- Records changes of usage that was already invoiced. A mark is the time up to which a customer's usage is invoiced;
-- later changes before the mark record their hour, in the same commit.

-- :oldest  Whether the batch has hits in a rolled-up day, and whether it may have hits before a customer's mark.
SELECT
    min(hour) < (SELECT max(until) FROM events_usagerollup),
    min(hour) < (SELECT max(closed_until) FROM events_usagemark)
FROM hit WHERE reason IS NULL

-- :note_hits
INSERT INTO events_touchedusage (customer_id, feature_id, hour)
SELECT DISTINCT hit.customer_id, hit.feature_id, hit.hour
FROM hit
JOIN events_usagemark AS mark ON mark.customer_id = hit.customer_id AND hit.hour < mark.closed_until
WHERE hit.reason IS NULL AND hit.hour < (SELECT max(closed_until) FROM events_usagemark) AND NOT EXISTS (
    SELECT FROM finding WHERE finding.id = hit.id AND finding.feature_id IS NULL
)

-- :note_recounted
INSERT INTO events_touchedusage (customer_id, feature_id, hour)
SELECT touched.customer_id, touched.feature_id, touched.hour
FROM touched
JOIN events_usagemark AS mark ON mark.customer_id = touched.customer_id AND touched.hour < mark.closed_until

-- :close  Marks never move back. In key order, so that concurrent callers wait instead of deadlocking.
INSERT INTO events_usagemark AS mark (customer_id, closed_until)
SELECT customer_id, max(closed_until)
FROM unnest(%(customers)s::bigint[], %(until)s::timestamptz[]) AS given (customer_id, closed_until)
GROUP BY customer_id
ORDER BY customer_id
ON CONFLICT (customer_id) DO UPDATE SET closed_until = excluded.closed_until
WHERE mark.closed_until < excluded.closed_until

-- :take  Removes the oldest records and returns each hour once.
WITH taken AS (
    DELETE FROM events_touchedusage
    WHERE id = ANY (ARRAY(SELECT id FROM events_touchedusage ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
    RETURNING customer_id, feature_id, hour
)
SELECT DISTINCT customer_id, feature_id, hour FROM taken ORDER BY customer_id, feature_id, hour
