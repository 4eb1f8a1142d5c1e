-- Removes duplicates from the batch and logs them: with the same content, or as a conflict, whose content is stored with
-- the fields that differ, in the order of `Difference`. Two external ids of one customer are no difference. Without a
-- timestamp, a retry has the same content whatever the time of the first event.

-- :differs  The fields in which `repeat` differs from `first`.
array_remove(ARRAY[
    CASE
        WHEN first.external_customer_id <> repeat.external_customer_id
            AND (first.customer_id = repeat.customer_id) IS NOT TRUE
        THEN 'external_customer_id'
    END,
    CASE WHEN first.source <> repeat.source THEN 'source' END,
    CASE WHEN first.event_name <> repeat.event_name THEN 'event_name' END,
    CASE
        WHEN first.has_timestamp AND repeat.has_timestamp AND first.occurred_at <> repeat.occurred_at
        THEN 'timestamp'
    END,
    CASE WHEN first.properties <> repeat.properties THEN 'properties' END
], NULL)

-- :log  The first event may be sealed: then the repeat isn't compared yet, and its content is stored.
WITH repeat AS (
    DELETE FROM batch
    WHERE NOT EXISTS (SELECT FROM events_event WHERE events_event.id = batch.id)
    RETURNING *
), compared AS (
    SELECT
        repeat.*,
        {differs} AS differs,
        first.id IS NULL AND EXISTS (
            SELECT FROM events_knownid AS known JOIN events_sealedpart AS part ON part.id = known.part
            WHERE known.key = events_key(repeat.event_id) AND part.state IN (2, 3)
        ) AS is_unread,
        jsonb_build_object(
            'event_name', repeat.event_name, 'external_customer_id', repeat.external_customer_id,
            'timestamp', CASE WHEN repeat.has_timestamp THEN repeat.occurred_at END,
            'source', repeat.source, 'properties', repeat.properties
        ) AS body
    FROM repeat
    LEFT JOIN events_event AS first ON first.event_id = repeat.event_id
), logged AS (
    INSERT INTO events_duplicateevent AS known (
        event_id, kind, differs, body_hash, body, source, api_key_id, event_name, external_customer_id, count, first_at,
        last_at
    )
    SELECT
        event_id, kind, min(differs), hash, (array_agg(body))[1], source,
        api_key_id, min(event_name), min(external_customer_id), count(*), min(received_at), max(received_at)
    FROM (
        SELECT
            event_id, differs, source, api_key_id, event_name, external_customer_id, received_at,
            CASE WHEN is_unread THEN 'unread' WHEN differs = '{}' THEN 'same' ELSE 'conflict' END AS kind,
            CASE WHEN differs = '{}' AND NOT is_unread THEN '' ELSE md5(body::text) END AS hash,
            CASE WHEN differs <> '{}' OR is_unread THEN body END AS body
        FROM compared
    ) AS entries
    GROUP BY event_id, kind, hash, source, api_key_id
    ORDER BY event_id, kind, hash, source, api_key_id
    ON CONFLICT (event_id, kind, body_hash, source, api_key_id) DO UPDATE SET
        count = known.count + excluded.count, last_at = GREATEST(known.last_at, excluded.last_at),
        differs = excluded.differs
)
SELECT count(*), count(*) FILTER (WHERE differs <> '{}') FROM compared

-- :unread  Repeats that aren't compared yet, oldest first.
SELECT id, event_id FROM events_duplicateevent
WHERE kind = 'unread'
ORDER BY last_at, id
LIMIT %(limit)s

-- :compare  Compares unread repeats with their first events, and adds them to what is logged already. A repeat of an
-- event that retention has removed meanwhile counts as the same.
WITH repeat AS (
    SELECT
        unread.*, COALESCE(own.id, other.id) AS customer_id, unread.body ->> 'timestamp' IS NOT NULL AS has_timestamp,
        (unread.body ->> 'timestamp')::timestamptz AS occurred_at, unread.body -> 'properties' AS properties
    FROM events_duplicateevent AS unread
    LEFT JOIN customers_customer AS own ON own.external_id = unread.external_customer_id
    LEFT JOIN customers_customeralias AS also ON also.alias = unread.external_customer_id AND own.id IS NULL
    LEFT JOIN customers_customer AS other ON other.id = also.customer_id
    WHERE unread.id = ANY(%(ids)s) AND unread.kind = 'unread'
    FOR UPDATE OF unread
), compared AS (
    SELECT repeat.*, {differs} AS found
    FROM repeat
    LEFT JOIN (SELECT * FROM {ledger} AS event WHERE {is_once}) AS first ON first.event_id = repeat.event_id
), removed AS (
    DELETE FROM events_duplicateevent WHERE id IN (SELECT id FROM repeat)
)
INSERT INTO events_duplicateevent AS known (
    event_id, kind, differs, body_hash, body, source, api_key_id, event_name, external_customer_id, count, first_at,
    last_at
)
SELECT
    event_id, kind, min(found), hash, (array_agg(body))[1], source,
    api_key_id, min(event_name), min(external_customer_id), sum(count), min(first_at), max(last_at)
FROM (
    SELECT
        event_id, found, source, api_key_id, event_name, external_customer_id, count, first_at, last_at,
        CASE WHEN found = '{}' THEN 'same' ELSE 'conflict' END AS kind,
        CASE WHEN found = '{}' THEN '' ELSE body_hash END AS hash,
        CASE WHEN found <> '{}' THEN body END AS body
    FROM compared
) AS entries
GROUP BY event_id, kind, hash, source, api_key_id
ORDER BY event_id, kind, hash, source, api_key_id
ON CONFLICT (event_id, kind, body_hash, source, api_key_id) DO UPDATE SET
    count = known.count + excluded.count, last_at = GREATEST(known.last_at, excluded.last_at),
    first_at = LEAST(known.first_at, excluded.first_at), differs = excluded.differs
