-- Stores the latest value for features that need it. Of events at the same time, the later arrival counts.
UPDATE events_usagebucket AS bucket
SET latest = newest.number, latest_at = newest.occurred_at, latest_id = newest.id
FROM (
    SELECT DISTINCT ON (hit.customer_id, hit.feature_id, hit.hour)
        hit.customer_id, hit.feature_id, hit.hour, hit.number, hit.occurred_at, hit.id
    FROM hit
    JOIN catalog_feature AS feature ON feature.id = hit.feature_id AND feature.aggregation = 'latest'
    WHERE hit.reason IS NULL AND NOT EXISTS (
        SELECT FROM finding WHERE finding.id = hit.id AND finding.feature_id IS NULL
    )
    ORDER BY hit.customer_id, hit.feature_id, hit.hour, hit.occurred_at DESC, hit.id DESC
) AS newest
WHERE bucket.customer_id = newest.customer_id AND bucket.feature_id = newest.feature_id AND bucket.hour = newest.hour
    AND (bucket.latest_at IS NULL OR (bucket.latest_at, bucket.latest_id) < (newest.occurred_at, newest.id))
