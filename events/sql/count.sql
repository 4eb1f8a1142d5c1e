-- Adds the batch's hits to the hourly usage, in key order, so that workers wait for each other instead of deadlocking.
INSERT INTO events_usagebucket AS bucket (
    customer_id, feature_id, hour, count, total, weighted, maximum, minimum, latest, latest_at, latest_id, checksum
)
SELECT
    hit.customer_id, hit.feature_id, hit.hour,
    count(*),
    COALESCE(sum(hit.number), 0),
    COALESCE(sum(hit.number * extract(epoch FROM hit.occurred_at)) FILTER (WHERE feature.aggregation = 'weighted_sum'), 0),
    max(hit.number),
    min(hit.number),
    NULL, NULL, NULL,
    bit_xor(hit.checksum)
FROM hit
JOIN catalog_feature AS feature ON feature.id = hit.feature_id
WHERE hit.reason IS NULL AND NOT EXISTS (
    SELECT FROM finding WHERE finding.id = hit.id AND finding.feature_id IS NULL
)
GROUP BY hit.customer_id, hit.feature_id, hit.hour
ORDER BY hit.customer_id, hit.feature_id, hit.hour
ON CONFLICT (customer_id, feature_id, hour) DO UPDATE SET
    count = bucket.count + excluded.count,
    total = bucket.total + excluded.total,
    weighted = bucket.weighted + excluded.weighted,
    maximum = GREATEST(bucket.maximum, excluded.maximum),
    minimum = LEAST(bucket.minimum, excluded.minimum),
    checksum = bucket.checksum # excluded.checksum
