-- Recounts the touched hours from the ledger. The locks, taken in key order, make running batches and this recount wait
-- for each other; the statements after the locks then see every batch that has changed these hours.

-- :open  Creates empty rows to lock for hours without usage.
INSERT INTO events_usagebucket (customer_id, feature_id, hour, count, total, weighted, checksum)
SELECT customer_id, feature_id, hour, 0, 0, 0, 0 FROM touched ORDER BY customer_id, feature_id, hour
ON CONFLICT (customer_id, feature_id, hour) DO NOTHING

-- :lock
SELECT FROM events_usagebucket AS bucket
JOIN touched USING (customer_id, feature_id, hour)
ORDER BY bucket.customer_id, bucket.feature_id, bucket.hour
FOR UPDATE OF bucket

-- :read
INSERT INTO recounted (customer_id, feature_id, hour, id, event_id, occurred_at, number, unique_key)
{counted}

-- :write
UPDATE events_usagebucket AS bucket
SET count = fresh.count, total = fresh.total, weighted = fresh.weighted, maximum = fresh.maximum,
    minimum = fresh.minimum, checksum = fresh.checksum, latest = fresh.latest, latest_at = fresh.latest_at,
    latest_id = fresh.latest_id
FROM ({sums}) AS fresh
WHERE bucket.customer_id = fresh.customer_id AND bucket.feature_id = fresh.feature_id AND bucket.hour = fresh.hour

-- :close  Removes hours in which nothing counts.
DELETE FROM events_usagebucket AS bucket
USING touched
WHERE bucket.customer_id = touched.customer_id AND bucket.feature_id = touched.feature_id AND bucket.hour = touched.hour
    AND NOT EXISTS (
        SELECT FROM recounted
        WHERE recounted.customer_id = touched.customer_id AND recounted.feature_id = touched.feature_id
            AND recounted.hour = touched.hour
    )

-- :forget_values
DELETE FROM events_uniquevalue AS known
USING touched
WHERE known.customer_id = touched.customer_id AND known.feature_id = touched.feature_id AND known.hour = touched.hour

-- :write_values
INSERT INTO events_uniquevalue (customer_id, feature_id, hour, value, count)
SELECT customer_id, feature_id, hour, unique_key, count(*)
FROM recounted
WHERE unique_key IS NOT NULL
GROUP BY customer_id, feature_id, hour, unique_key
