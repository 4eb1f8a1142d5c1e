-- Finds events by properties and time of arrival. Events that retention removed aren't found.

-- :sent  A property's value: of this name, or at the path that its dots make.
COALESCE(event.properties -> {property}, event_path(event.properties, {property}))

-- :as_number
CASE WHEN jsonb_typeof({value}) = 'number' THEN ({value})::numeric ELSE event_number({value}) END

-- :chosen  Whether the event matches the search. A missing property meets no condition.
event_passes(event.properties, %(include)s::jsonb)
AND NOT EXISTS (
    SELECT FROM jsonb_array_elements(%(exclude)s::jsonb) AS unwanted WHERE event_passes(event.properties, unwanted)
)
AND NOT EXISTS (
    SELECT
    FROM jsonb_to_recordset(%(conditions)s::jsonb) AS wanted (property text, operator text, value jsonb, number numeric)
    CROSS JOIN LATERAL (SELECT {sent} AS value, COALESCE(to_jsonb(wanted.number), wanted.value) AS sought OFFSET 0) AS sent
    WHERE (
        CASE wanted.operator
            WHEN 'eq' THEN event_text(sent.value) = event_text(sent.sought)
            WHEN 'gt' THEN {sent_number} > {sought_number}
            WHEN 'gte' THEN {sent_number} >= {sought_number}
            WHEN 'lt' THEN {sent_number} < {sought_number}
            WHEN 'lte' THEN {sent_number} <= {sought_number}
            WHEN 'contains' THEN position(event_text(sent.sought) IN event_text(sent.value)) > 0
            WHEN 'not_contains' THEN position(event_text(sent.sought) IN event_text(sent.value)) = 0
        END
    ) IS NOT TRUE
)
AND (cardinality(%(sources)s::text[]) = 0 OR event.source = ANY(%(sources)s::text[]))
AND event.received_at >= COALESCE(%(received_from)s::timestamptz, '-infinity')
AND event.received_at < COALESCE(%(received_before)s::timestamptz, 'infinity')

-- :find  The ledger ids of a customer's events.
SELECT event.id FROM {ledger} AS event
WHERE event.customer_id = %(customer)s AND event.occurred_at >= %(start)s AND event.occurred_at < %(end)s AND {is_once} AND {chosen}
ORDER BY event.id
LIMIT %(limit)s

-- :scope  A customer's events of a feature.
catalog_feature AS feature
JOIN ({names}) AS named ON named.id = feature.id
JOIN {ledger} AS event
    ON event.customer_id = %(customer)s AND event.event_name = named.name
    AND event.occurred_at >= %(start)s AND event.occurred_at < %(end)s
    AND feature.id = %(feature)s

-- :columns
event.properties, event.received_at, event.source,

-- :key  With `by_source` the source first; then the group's values as text, in the order of the names; null for a missing property.
CASE WHEN %(by_source)s::boolean THEN ARRAY[event.source] ELSE ARRAY[]::text[] END || (
    SELECT array_agg(event_text({sent}) ORDER BY wanted.place)
    FROM unnest(%(group_by)s::text[]) WITH ORDINALITY AS wanted (property, place)
)

-- :sums
SELECT
    {key} AS key,
    count(*), COALESCE(sum(number), 0), COALESCE(sum(number * extract(epoch FROM occurred_at)), 0),
    max(number), min(number), (array_agg(number ORDER BY occurred_at DESC, id DESC))[1],
    count(DISTINCT unique_key), bit_xor(hashtextextended(event_id, 0))
FROM ({rows}) AS event
WHERE {chosen}
GROUP BY 1
LIMIT %(most)s
