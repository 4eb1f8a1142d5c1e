-- Groups unbilled usage since a given time by feature and by what is missing: a subscription, or the feature in its
-- plan. A pair of customer and feature is billed if a phase in force since then has a usage price for the feature, which
-- agreed terms can share with the list. A feature with the price of certain values is left out: the feature that counts
-- all values has the same usage, and is billed if one of them is.
-- Reads rolled-up days where they exist. Pairs are found by skipping through the primary key, at most `pairs` of them,
-- so the cost is bounded; `is_capped` means that there are more.
WITH RECURSIVE pair (customer_id, feature_id) AS (
    (SELECT customer_id, feature_id FROM events_usagebucket ORDER BY customer_id, feature_id LIMIT 1)
    UNION ALL
    SELECT following.customer_id, following.feature_id
    FROM pair, LATERAL (
        SELECT customer_id, feature_id FROM events_usagebucket
        WHERE (customer_id, feature_id) > (pair.customer_id, pair.feature_id)
        ORDER BY customer_id, feature_id LIMIT 1
    ) AS following
), known AS MATERIALIZED (
    SELECT * FROM pair LIMIT %(pairs)s
), priced_as AS MATERIALIZED (
    -- The features whose price charges for usage of a feature: itself, and those that count some of its values.
    SELECT id AS feature_id, id AS priced_id FROM catalog_feature WHERE variant_of_id IS NULL
    UNION ALL
    SELECT variant_of_id, id FROM catalog_feature WHERE variant_of_id IS NOT NULL
), lived AS MATERIALIZED (
    SELECT subscription.customer_id, phase.plan_version_id
    FROM customers_subscriptionphase AS phase
    JOIN customers_subscription AS subscription ON subscription.id = phase.subscription_id
    WHERE phase.superseded_at IS NULL AND (phase.ends_at IS NULL OR phase.ends_at > %(since)s) AND phase.starts_at <= %(now)s
), rolled AS MATERIALIZED (
    SELECT COALESCE(max(until), '-infinity'::timestamptz) AS until FROM events_usagerollup
), unbilled AS (
    SELECT
        known.customer_id, known.feature_id,
        EXISTS (SELECT FROM lived WHERE lived.customer_id = known.customer_id) AS is_subscribed
    FROM known
    WHERE known.feature_id IN (SELECT feature_id FROM priced_as) AND NOT EXISTS (
        SELECT FROM lived
        JOIN catalog_price AS price ON price.version_id = lived.plan_version_id
        JOIN priced_as ON priced_as.priced_id = price.feature_id
        WHERE lived.customer_id = known.customer_id AND priced_as.feature_id = known.feature_id
    ) AND NOT EXISTS (
        SELECT FROM lived
        JOIN catalog_sharedprice AS shared ON shared.version_id = lived.plan_version_id
        JOIN catalog_price AS price ON price.id = shared.price_id
        JOIN priced_as ON priced_as.priced_id = price.feature_id
        WHERE lived.customer_id = known.customer_id AND priced_as.feature_id = known.feature_id
    )
)
SELECT
    unbilled.is_subscribed, unbilled.feature_id, count(*) AS customers, sum(used.events)::bigint AS events,
    min(unbilled.customer_id) AS a_customer, (SELECT count(*) FROM known) >= %(pairs)s AS is_capped
FROM unbilled, rolled, LATERAL (
    SELECT sum(part.events) AS events
    FROM (
        SELECT sum(count) AS events FROM events_usageday AS day
        WHERE day.customer_id = unbilled.customer_id AND day.feature_id = unbilled.feature_id
            AND day.day >= %(since)s AND day.day < least(rolled.until, %(now)s)
        UNION ALL
        SELECT sum(count) FROM events_usagebucket AS bucket
        WHERE bucket.customer_id = unbilled.customer_id AND bucket.feature_id = unbilled.feature_id
            AND bucket.hour >= greatest(rolled.until, %(since)s) AND bucket.hour < %(now)s
    ) AS part
) AS used
WHERE used.events > 0
GROUP BY 1, 2
ORDER BY events DESC, feature_id
LIMIT %(rows)s
