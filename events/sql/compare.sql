-- Compares the stored usage with a recount from the ledger, and returns the differences.

-- :scope
catalog_feature AS feature
JOIN ({names}) AS named ON named.id = feature.id
JOIN {ledger} AS event ON event.event_name = named.name
    AND (%(customer)s::bigint IS NULL OR event.customer_id = %(customer)s)
    AND (%(feature)s::bigint IS NULL OR feature.id = %(feature)s)
    AND event.occurred_at >= GREATEST(
        %(start)s::timestamptz,
        COALESCE((SELECT max(horizon.hour) FROM events_ledgerhorizon AS horizon), '-infinity')
    )
    AND event.occurred_at < %(end)s

-- :kept  The buckets of the scope.
SELECT * FROM {table} AS kept
WHERE (%(customer)s::bigint IS NULL OR kept.customer_id = %(customer)s)
    AND (%(feature)s::bigint IS NULL OR kept.feature_id = %(feature)s)
    AND kept.hour >= GREATEST(
        %(start)s::timestamptz,
        COALESCE((SELECT max(horizon.hour) FROM events_ledgerhorizon AS horizon), '-infinity')
    )
    AND kept.hour < %(end)s

-- :buckets
SELECT
    COALESCE(kept.customer_id, fresh.customer_id), COALESCE(kept.feature_id, fresh.feature_id),
    COALESCE(kept.hour, fresh.hour), COALESCE(kept.count, 0), COALESCE(fresh.count, 0),
    COALESCE(kept.total, 0), COALESCE(fresh.total, 0)
FROM ({kept_buckets}) AS kept
FULL JOIN ({sums}) AS fresh
    ON fresh.customer_id = kept.customer_id AND fresh.feature_id = kept.feature_id AND fresh.hour = kept.hour
WHERE (kept.count, kept.total, kept.weighted, kept.maximum, kept.minimum, kept.checksum, kept.latest, kept.latest_at, kept.latest_id)
    IS DISTINCT FROM
    (fresh.count, fresh.total, fresh.weighted, fresh.maximum, fresh.minimum, fresh.checksum, fresh.latest, fresh.latest_at, fresh.latest_id)

-- :values
SELECT DISTINCT
    COALESCE(kept.customer_id, fresh.customer_id), COALESCE(kept.feature_id, fresh.feature_id),
    COALESCE(kept.hour, fresh.hour), 0::bigint, 0::bigint, 0::numeric, 0::numeric
FROM ({kept_values}) AS kept
FULL JOIN (
    SELECT row.customer_id, row.feature_id, row.hour, row.unique_key AS value, count(*) AS count
    FROM {rows} AS row
    WHERE row.unique_key IS NOT NULL
    GROUP BY row.customer_id, row.feature_id, row.hour, row.unique_key
) AS fresh
    ON fresh.customer_id = kept.customer_id AND fresh.feature_id = kept.feature_id AND fresh.hour = kept.hour
    AND fresh.value = kept.value
WHERE kept.count IS DISTINCT FROM fresh.count

-- :days  Compares rolled-up days with the sums of their hours.
SELECT
    COALESCE(kept.customer_id, fresh.customer_id), COALESCE(kept.feature_id, fresh.feature_id),
    COALESCE(kept.day, fresh.day), COALESCE(kept.count, 0), COALESCE(fresh.count, 0),
    COALESCE(kept.total, 0), COALESCE(fresh.total, 0)
FROM (
    SELECT * FROM events_usageday AS day
    WHERE (%(customer)s::bigint IS NULL OR day.customer_id = %(customer)s)
        AND (%(feature)s::bigint IS NULL OR day.feature_id = %(feature)s)
        AND day.day >= date_bin('1 day', GREATEST(%(start)s::timestamptz, '1000-01-01Z'), '2000-01-01 00:00Z')
        AND day.day < %(end)s
) AS kept
FULL JOIN (
    SELECT
        bucket.customer_id, bucket.feature_id, date_bin('1 day', bucket.hour, '2000-01-01 00:00Z') AS day,
        sum(bucket.count)::bigint AS count, sum(bucket.total) AS total, sum(bucket.weighted) AS weighted,
        max(bucket.maximum) AS maximum, min(bucket.minimum) AS minimum, bit_xor(bucket.checksum) AS checksum
    FROM events_usagebucket AS bucket
    WHERE (%(customer)s::bigint IS NULL OR bucket.customer_id = %(customer)s)
        AND (%(feature)s::bigint IS NULL OR bucket.feature_id = %(feature)s)
        AND bucket.hour >= date_bin('1 day', GREATEST(%(start)s::timestamptz, '1000-01-01Z'), '2000-01-01 00:00Z')
        AND date_bin('1 day', bucket.hour, '2000-01-01 00:00Z') < %(end)s
        AND bucket.hour < (SELECT COALESCE(max(until), '-infinity') FROM events_usagerollup)
    GROUP BY 1, 2, 3
) AS fresh ON fresh.customer_id = kept.customer_id AND fresh.feature_id = kept.feature_id AND fresh.day = kept.day
WHERE (kept.count, kept.total, kept.weighted, kept.maximum, kept.minimum, kept.checksum)
    IS DISTINCT FROM (fresh.count, fresh.total, fresh.weighted, fresh.maximum, fresh.minimum, fresh.checksum)
