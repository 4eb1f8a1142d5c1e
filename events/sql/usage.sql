-- Usage of many spans at once. Whole hours come from buckets, cut hours from the ledger's rows that count.

-- :whole
SELECT * FROM unnest(
    %(whole_no)s::bigint[], %(whole_customer)s::bigint[], %(whole_feature)s::bigint[],
    %(whole_start)s::timestamptz[], %(whole_end)s::timestamptz[]
) AS span (no, customer_id, feature_id, start, "end")

-- :edge
SELECT * FROM unnest(
    %(edge_no)s::bigint[], %(edge_customer)s::bigint[], %(edge_feature)s::bigint[],
    %(edge_start)s::timestamptz[], %(edge_end)s::timestamptz[]
) AS span (no, customer_id, feature_id, start, "end")

-- :edge_scope
({edge}) AS edge
JOIN catalog_feature AS feature ON feature.id = edge.feature_id
JOIN ({names}) AS named ON named.id = feature.id
JOIN events_event AS event
    ON event.customer_id = edge.customer_id AND event.event_name = named.name
    AND event.occurred_at >= edge.start AND event.occurred_at < edge."end"

-- :sums
WITH part AS (
    SELECT
        span.no, sum(bucket.count)::bigint AS count, sum(bucket.total) AS total, sum(bucket.weighted) AS weighted,
        max(bucket.maximum) AS maximum, min(bucket.minimum) AS minimum,
        (array_agg(bucket.latest ORDER BY bucket.latest_at DESC, bucket.latest_id DESC)
            FILTER (WHERE bucket.latest_at IS NOT NULL))[1] AS latest,
        max(bucket.latest_at) AS latest_at,
        (array_agg(bucket.latest_id ORDER BY bucket.latest_at DESC, bucket.latest_id DESC)
            FILTER (WHERE bucket.latest_at IS NOT NULL))[1] AS latest_id,
        bit_xor(bucket.checksum) AS checksum
    FROM ({whole}) AS span
    JOIN events_usagebucket AS bucket
        ON bucket.customer_id = span.customer_id AND bucket.feature_id = span.feature_id
        AND bucket.hour >= span.start AND bucket.hour < span."end"
    GROUP BY span.no
    UNION ALL
    SELECT
        no, count(*), COALESCE(sum(number), 0), COALESCE(sum(number * extract(epoch FROM occurred_at)), 0),
        max(number), min(number),
        (array_agg(number ORDER BY occurred_at DESC, id DESC))[1], max(occurred_at),
        (array_agg(id ORDER BY occurred_at DESC, id DESC))[1],
        bit_xor(hashtextextended(event_id, 0))
    FROM ({edge_rows}) AS row
    GROUP BY no
)
SELECT
    no, sum(count)::bigint, sum(total), sum(weighted), max(maximum), min(minimum),
    (array_agg(latest ORDER BY latest_at DESC, latest_id DESC) FILTER (WHERE latest IS NOT NULL))[1],
    bit_xor(checksum)
FROM part
GROUP BY no

-- :distinct
SELECT no, count(DISTINCT value)
FROM (
    SELECT span.no, known.value
    FROM ({whole}) AS span
    JOIN events_uniquevalue AS known
        ON known.customer_id = span.customer_id AND known.feature_id = span.feature_id
        AND known.hour >= span.start AND known.hour < span."end"
    UNION ALL
    SELECT no, unique_key FROM ({edge_rows}) AS row WHERE unique_key IS NOT NULL
) AS value
GROUP BY no

-- :values
SELECT number FROM ({edge_rows}) AS row ORDER BY occurred_at, id
