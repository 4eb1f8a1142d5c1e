-- Adds the batch's distinct values. Runs after count.sql, whose locks also protect these rows.
INSERT INTO events_uniquevalue AS known (customer_id, feature_id, hour, value, count)
SELECT hit.customer_id, hit.feature_id, hit.hour, hit.unique_key, count(*)
FROM hit
WHERE hit.unique_key IS NOT NULL AND hit.reason IS NULL AND NOT EXISTS (
    SELECT FROM finding WHERE finding.id = hit.id AND finding.feature_id IS NULL
)
GROUP BY hit.customer_id, hit.feature_id, hit.hour, hit.unique_key
ORDER BY hit.customer_id, hit.feature_id, hit.hour, hit.unique_key
ON CONFLICT (customer_id, feature_id, hour, value) DO UPDATE SET count = known.count + excluded.count
