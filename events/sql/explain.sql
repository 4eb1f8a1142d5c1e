-- How each feature of an event name counts an event: with the rules of the processing, and separately by its value
-- only, so that a diagnosis can continue after an archived feature or a filter mismatch.
SELECT
    feature.id,
    named.name <> feature.event_name AS by_alias,
    {reason} AS reason,
    (
        SELECT COALESCE(jsonb_object_agg(asked.key, sent.value), '{}')
        FROM (
            SELECT key, value AS allowed, NULL AS excluded FROM jsonb_each(feature.filters)
            UNION ALL
            SELECT key, NULL, value FROM jsonb_each(feature.excluded)
        ) AS asked
        CROSS JOIN LATERAL (
            SELECT event_text(COALESCE(
                event.properties -> asked.key, event_path(event.properties, asked.key)
            )) AS value
        ) AS sent
        WHERE CASE
            WHEN asked.excluded IS NULL THEN NOT COALESCE(asked.allowed @> to_jsonb(sent.value), false)
            ELSE event_passes(event.properties, feature.excluded)
        END
    ) AS mismatches,
    (
        SELECT {reason}
        FROM (
            SELECT
                feature.id, feature.aggregation, feature.field, feature.field_aliases, feature.multiplier,
                feature.accept_numeric_strings,
                '{}'::jsonb AS filters, '{}'::jsonb AS excluded, NULL::timestamptz AS archived_at, NULL::timestamptz AS counts_from
        ) AS feature
    ) AS value_reason,
    jsonb_typeof(reading.value) AS value_type,
    left(reading.value::text, 200) AS value,
    {number} AS number,
    {unique_key} AS unique_key,
    event_number(reading.value) IS NOT NULL AS has_number
FROM (
    SELECT
        %(event_name)s::text AS event_name, %(properties)s::jsonb AS properties,
        %(occurred_at)s::timestamptz AS occurred_at, %(received_at)s::timestamptz AS received_at
) AS event
JOIN ({names}) AS named ON named.name = event.event_name
JOIN catalog_feature AS feature ON feature.id = named.id
CROSS JOIN LATERAL ({reading}) AS reading
ORDER BY feature.name, feature.id
