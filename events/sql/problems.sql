-- Opens a problem for each finding without an open problem, with details and the current configuration of the feature.
INSERT INTO events_problem (
    event_id, feature_id, reason, detail, judged_by, event_name, external_customer_id, occurred_at, state, created_at, judged_at, closing
)
SELECT
    event.id, finding.feature_id, finding.reason,
    CASE
        WHEN finding.reason = 'aggregation_field_missing' THEN jsonb_build_object(
            'field', feature.field,
            'sent', (SELECT COALESCE(jsonb_agg(left(name, 100) ORDER BY name), '[]')
                     FROM (SELECT jsonb_object_keys(event.properties) AS name LIMIT 50) AS names)
        )
        WHEN feature.field <> '' THEN jsonb_build_object(
            'field', feature.field,
            'type', jsonb_typeof(reading.value),
            'value', left(reading.value::text, 200)
        )
        ELSE '{}'
    END,
    CASE WHEN feature.id IS NULL THEN '{}' ELSE jsonb_build_object(
        'event_name', feature.event_name, 'aggregation', feature.aggregation, 'field', feature.field,
        'field_aliases', feature.field_aliases, 'filters', feature.filters, 'excluded', feature.excluded, 'accept_numeric_strings', feature.accept_numeric_strings,
        'state', feature.state, 'counts_from', feature.counts_from, 'updated_at', feature.updated_at
    ) END,
    event.event_name, event.external_customer_id, event.occurred_at, 1, clock_timestamp(), clock_timestamp(), ''
FROM finding
JOIN batch AS event ON event.id = finding.id
LEFT JOIN catalog_feature AS feature ON feature.id = finding.feature_id
LEFT JOIN LATERAL ({reading}) AS reading ON true
ON CONFLICT (event_id, feature_id, reason) WHERE state = 1 DO UPDATE SET judged_at = excluded.judged_at,
    detail = excluded.detail, judged_by = excluded.judged_by
