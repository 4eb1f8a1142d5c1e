-- Keeps rolled-up days in step with their hours, in the same transaction.

-- :count  Adds the batch's hits to their days, in key order, after the hours.
INSERT INTO events_usageday AS kept (
    customer_id, feature_id, day, count, total, weighted, maximum, minimum, checksum
)
SELECT
    hit.customer_id, hit.feature_id, date_bin('1 day', hit.hour, '2000-01-01 00:00Z'),
    count(*),
    COALESCE(sum(hit.number), 0),
    COALESCE(sum(hit.number * extract(epoch FROM hit.occurred_at)) FILTER (WHERE feature.aggregation = 'weighted_sum'), 0),
    max(hit.number),
    min(hit.number),
    bit_xor(hit.checksum)
FROM hit
JOIN catalog_feature AS feature ON feature.id = hit.feature_id
WHERE hit.reason IS NULL AND hit.hour < (SELECT max(until) FROM events_usagerollup) AND NOT EXISTS (
    SELECT FROM finding WHERE finding.id = hit.id AND finding.feature_id IS NULL
)
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3
ON CONFLICT (customer_id, feature_id, day) DO UPDATE SET
    count = kept.count + excluded.count,
    total = kept.total + excluded.total,
    weighted = kept.weighted + excluded.weighted,
    maximum = GREATEST(kept.maximum, excluded.maximum),
    minimum = LEAST(kept.minimum, excluded.minimum),
    checksum = kept.checksum # excluded.checksum

-- :touched  The rolled-up days of recounted hours.
SELECT DISTINCT touched.customer_id, touched.feature_id, date_bin('1 day', touched.hour, '2000-01-01 00:00Z') AS day
FROM touched WHERE touched.hour < (SELECT max(until) FROM events_usagerollup)

-- :open  Creates empty rows to lock for days without a row.
INSERT INTO events_usageday (customer_id, feature_id, day, count, total, weighted, checksum)
SELECT customer_id, feature_id, day, 0, 0, 0, 0 FROM ({touched}) AS touched ORDER BY customer_id, feature_id, day
ON CONFLICT (customer_id, feature_id, day) DO NOTHING

-- :lock
SELECT FROM events_usageday AS kept
JOIN ({touched}) AS touched USING (customer_id, feature_id, day)
ORDER BY kept.customer_id, kept.feature_id, kept.day
FOR UPDATE OF kept

-- :write  Recalculates these days from their hours.
UPDATE events_usageday AS kept
SET count = fresh.count, total = fresh.total, weighted = fresh.weighted, maximum = fresh.maximum,
    minimum = fresh.minimum, checksum = fresh.checksum
FROM (
    SELECT
        touched.customer_id, touched.feature_id, touched.day, COALESCE(sum(bucket.count), 0)::bigint AS count,
        COALESCE(sum(bucket.total), 0) AS total, COALESCE(sum(bucket.weighted), 0) AS weighted,
        max(bucket.maximum) AS maximum, min(bucket.minimum) AS minimum,
        COALESCE(bit_xor(bucket.checksum), 0) AS checksum
    FROM ({touched}) AS touched
    LEFT JOIN events_usagebucket AS bucket
        ON bucket.customer_id = touched.customer_id AND bucket.feature_id = touched.feature_id
        AND bucket.hour >= touched.day AND bucket.hour < touched.day + interval '24 hours'
    GROUP BY touched.customer_id, touched.feature_id, touched.day
) AS fresh
WHERE kept.customer_id = fresh.customer_id AND kept.feature_id = fresh.feature_id AND kept.day = fresh.day

-- :close
DELETE FROM events_usageday AS kept
USING ({touched}) AS touched
WHERE kept.customer_id = touched.customer_id AND kept.feature_id = touched.feature_id AND kept.day = touched.day
    AND kept.count = 0

-- :roll  Adds up the hours of days that are not rolled up yet.
INSERT INTO events_usageday (customer_id, feature_id, day, count, total, weighted, maximum, minimum, checksum)
SELECT
    customer_id, feature_id, date_bin('1 day', hour, '2000-01-01 00:00Z'), sum(count), sum(total), sum(weighted),
    max(maximum), min(minimum), bit_xor(checksum)
FROM events_usagebucket
WHERE hour >= %(start)s AND hour < %(until)s
GROUP BY 1, 2, 3

-- :first
SELECT min(hour) FROM events_usagebucket
