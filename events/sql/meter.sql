-- Fragments that define how a feature counts an event. Processing, replay, recount and partial hours all use them, so
-- that they can't disagree. `event` has the ledger's columns, `feature` the catalog's.

-- :names  The event names of metered features, including the names that staff mapped to them.
SELECT id, event_name AS name FROM catalog_feature WHERE kind = 'metered'
UNION ALL
SELECT feature.id, also.alias
FROM catalog_eventnamealias AS also
JOIN catalog_feature AS feature ON feature.kind = 'metered' AND feature.event_name = also.event_name
WHERE NOT EXISTS (SELECT FROM catalog_feature AS own WHERE own.kind = 'metered' AND own.event_name = also.alias)

-- :reading  The feature's field in the event, or else the first of its other names, and the number in it.
SELECT
    field.value,
    CASE
        WHEN jsonb_typeof(field.value) = 'number' THEN field.value::numeric
        WHEN feature.accept_numeric_strings THEN event_number(field.value)
    END AS number
FROM (
    SELECT CASE
        WHEN feature.field = '' THEN NULL
        WHEN event.properties ? feature.field THEN event.properties -> feature.field
        WHEN feature.field_aliases = '{}' THEN event_path(event.properties, feature.field)
        ELSE COALESCE(event_path(event.properties, feature.field), (
            SELECT event.properties -> alias.name
            FROM unnest(feature.field_aliases) WITH ORDINALITY AS alias (name, no)
            WHERE event.properties ? alias.name
            ORDER BY alias.no
            LIMIT 1
        ))
    END AS value
    OFFSET 0
) AS field

-- :reason  Why the event does not count for the feature; null when it does.
CASE
    WHEN feature.filters <> '{}' AND NOT event_passes(event.properties, feature.filters) THEN 'filter_mismatch'
    WHEN feature.excluded <> '{}' AND event_passes(event.properties, feature.excluded) THEN 'filter_mismatch'
    WHEN feature.archived_at <= event.received_at THEN 'feature_archived'
    WHEN feature.counts_from > event.occurred_at THEN 'before_feature_start'
    WHEN feature.aggregation = 'count' THEN NULL
    WHEN reading.value IS NULL OR reading.value = 'null' THEN 'aggregation_field_missing'
    WHEN feature.aggregation = 'unique_count' THEN
        CASE WHEN jsonb_typeof(reading.value) NOT IN ('string', 'number') THEN 'unusable_value' END
    WHEN reading.number IS NULL THEN 'not_a_number'
    WHEN abs(reading.number) >= 1e30 OR min_scale(reading.number) > 30 THEN 'value_out_of_range'
END

-- :number  What the event adds.
CASE
    WHEN feature.aggregation IN ('count', 'unique_count') THEN NULL
    WHEN feature.multiplier IS NULL THEN reading.number
    ELSE reading.number * feature.multiplier
END

-- :unique_key  Which distinct value the event carries.
CASE WHEN feature.aggregation = 'unique_count' THEN event_unique_key(event_text(reading.value)) END
