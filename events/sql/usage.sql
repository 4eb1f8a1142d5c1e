-- Usage of many spans at once: full hours from the hourly usage, partial hours from the ledger's counted events.

-- :whole
SELECT * FROM unnest(
    %(whole_no)s::bigint[], %(whole_customer)s::bigint[], %(whole_feature)s::bigint[],
    %(whole_start)s::timestamptz[], %(whole_end)s::timestamptz[],
    %(whole_first_day)s::timestamptz[], %(whole_last_day)s::timestamptz[]
) AS span (no, customer_id, feature_id, start, "end", first_day, last_day)

-- :edge
SELECT * FROM unnest(
    %(edge_no)s::bigint[], %(edge_customer)s::bigint[], %(edge_feature)s::bigint[],
    %(edge_start)s::timestamptz[], %(edge_end)s::timestamptz[],
    %(edge_first_day)s::timestamptz[], %(edge_last_day)s::timestamptz[]
) AS span (no, customer_id, feature_id, start, "end", first_day, last_day)

-- :edge_scope
({edge}) AS edge
JOIN catalog_feature AS feature ON feature.id = edge.feature_id
JOIN ({names}) AS named ON named.id = feature.id
JOIN {ledger} AS event
    ON event.customer_id = edge.customer_id AND event.event_name = named.name
    AND event.occurred_at >= edge.start AND event.occurred_at < edge."end"

-- :sums  Full hours, for every aggregation but LATEST and UNIQUE_COUNT, using rolled-up days where they exist. `rolled`
-- is a scalar subquery, so that an index finds the first hour.
SELECT
    no, sum(count)::bigint, sum(total), sum(weighted), max(maximum), min(minimum), bit_xor(checksum)
FROM (
    SELECT span.no, day.count, day.total, day.weighted, day.maximum, day.minimum, day.checksum
    FROM ({whole}) AS span
    JOIN events_usageday AS day
        ON day.customer_id = span.customer_id AND day.feature_id = span.feature_id
        AND day.day >= span.first_day AND day.day < LEAST(span.last_day, ({rolled}))
    UNION ALL
    SELECT span.no, head.count, head.total, head.weighted, head.maximum, head.minimum, head.checksum
    FROM ({whole}) AS span
    JOIN events_usagebucket AS head
        ON head.customer_id = span.customer_id AND head.feature_id = span.feature_id
        AND head.hour >= span.start AND head.hour < LEAST(span.first_day, span."end")
    WHERE span.start < span.first_day
    UNION ALL
    SELECT span.no, tail.count, tail.total, tail.weighted, tail.maximum, tail.minimum, tail.checksum
    FROM ({whole}) AS span
    JOIN events_usagebucket AS tail
        ON tail.customer_id = span.customer_id AND tail.feature_id = span.feature_id
        AND tail.hour >= GREATEST(span.first_day, LEAST(span.last_day, ({rolled}))) AND tail.hour < span."end"
    WHERE GREATEST(span.first_day, LEAST(span.last_day, ({rolled}))) < span."end"
) AS part
GROUP BY no

-- :rolled
SELECT COALESCE(max(until), '-infinity') AS until FROM events_usagerollup

-- :latest  The latest value of the full hours.
SELECT DISTINCT ON (span.no) span.no, bucket.latest, bucket.latest_at, bucket.latest_id
FROM ({whole}) AS span
JOIN events_usagebucket AS bucket
    ON bucket.customer_id = span.customer_id AND bucket.feature_id = span.feature_id
    AND bucket.hour >= span.start AND bucket.hour < span."end"
WHERE bucket.latest_at IS NOT NULL
ORDER BY span.no, bucket.latest_at DESC, bucket.latest_id DESC

-- :edge_sums  Partial hours.
SELECT
    no, count(*), COALESCE(sum(number), 0), COALESCE(sum(number * extract(epoch FROM occurred_at)), 0),
    max(number), min(number), bit_xor(hashtextextended(event_id, 0)),
    (array_agg(number ORDER BY occurred_at DESC, id DESC))[1], max(occurred_at),
    (array_agg(id ORDER BY occurred_at DESC, id DESC))[1]
FROM ({edge_rows}) AS row
GROUP BY no

-- :distinct  Distinct values of full hours.
SELECT span.no, count(DISTINCT known.value)
FROM ({whole}) AS span
JOIN events_uniquevalue AS known
    ON known.customer_id = span.customer_id AND known.feature_id = span.feature_id
    AND known.hour >= span.start AND known.hour < span."end"
GROUP BY span.no

-- :edge_distinct  Distinct values of full and partial hours together.
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

-- :in_spans  The events that count in the spans, span by span, by time: for a proof that adds them up elsewhere.
SELECT no, occurred_at, hashtextextended(event_id, 0), number, unique_key
FROM ({edge_rows}) AS row
ORDER BY no, occurred_at, id

-- :listed_in_spans  The same events, as the ledger has them: for lists.
SELECT no, event_id, event_name, occurred_at, external_customer_id
FROM ({edge_rows}) AS row
ORDER BY no, occurred_at, id

-- :behind_scope  One event name of a feature in one span.
(SELECT * FROM catalog_feature WHERE id = edge.feature_id) AS feature
JOIN {ledger} AS event
    ON event.customer_id = edge.customer_id AND event.event_name = named.name
    AND event.occurred_at >= edge.start AND event.occurred_at < edge."end"

-- :behind  The events that count in the spans, by time, after a given event. The index on customer, name and time has
-- the order of each name, so a page reads only the events up to its last one.
SELECT row.occurred_at, row.id, row.event_id, row.event_name, row.received_at, row.value, row.number
FROM ({edge}) AS edge
JOIN ({names}) AS named ON named.id = edge.feature_id
CROSS JOIN LATERAL (
    SELECT * FROM ({edge_rows}) AS counted
    WHERE (occurred_at, id) > (%(after_at)s, %(after_id)s)
    ORDER BY occurred_at, id
    LIMIT %(most)s
) AS row
ORDER BY row.occurred_at, row.id
LIMIT %(most)s

-- :counts_scope  One event of an outer query on the ledger, for one feature.
(SELECT events_event.*) AS event
JOIN catalog_feature AS feature ON feature.id = %s
JOIN ({names}) AS named ON named.id = feature.id AND named.name = event.event_name

-- :values_behind  The distinct values that count in each span.
SELECT no, min(value), count(*), min(occurred_at), max(occurred_at)
FROM ({edge_rows}) AS row
WHERE unique_key IS NOT NULL
GROUP BY no, unique_key
ORDER BY no, min(occurred_at), min(id)
LIMIT %(most)s

-- :by_pair  The number of counted events of full UTC days by customer and feature, using rolled-up days where they
-- exist.
SELECT customer_id, feature_id, sum(count)::bigint
FROM (
    SELECT day.customer_id, day.feature_id, day.count
    FROM ({rolled}) AS rolled
    JOIN events_usageday AS day
        ON day.customer_id BETWEEN %(first)s AND %(last)s
        AND day.day >= %(start)s AND day.day < LEAST(%(end)s, rolled.until)
    UNION ALL
    SELECT bucket.customer_id, bucket.feature_id, bucket.count
    FROM ({rolled}) AS rolled
    JOIN events_usagebucket AS bucket
        ON bucket.customer_id BETWEEN %(first)s AND %(last)s
        AND bucket.hour >= GREATEST(%(start)s, LEAST(%(end)s, rolled.until)) AND bucket.hour < %(end)s
) AS part
GROUP BY customer_id, feature_id
ORDER BY customer_id, feature_id
