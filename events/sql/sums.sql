-- The totals of counted events per customer, feature and hour.
SELECT
    row.customer_id, row.feature_id, row.hour,
    count(*) AS count,
    COALESCE(sum(row.number), 0) AS total,
    COALESCE(
        sum(row.number * extract(epoch FROM row.occurred_at)) FILTER (WHERE feature.aggregation = 'weighted_sum'), 0
    ) AS weighted,
    max(row.number) AS maximum,
    min(row.number) AS minimum,
    bit_xor(hashtextextended(row.event_id, 0)) AS checksum,
    (array_agg(row.number ORDER BY row.occurred_at DESC, row.id DESC)
        FILTER (WHERE feature.aggregation = 'latest'))[1] AS latest,
    (max(row.occurred_at) FILTER (WHERE feature.aggregation = 'latest')) AS latest_at,
    (array_agg(row.id ORDER BY row.occurred_at DESC, row.id DESC)
        FILTER (WHERE feature.aggregation = 'latest'))[1] AS latest_id
FROM {rows} AS row
JOIN catalog_feature AS feature ON feature.id = row.feature_id
GROUP BY row.customer_id, row.feature_id, row.hour
