-- Removes duplicates from the batch and logs them: with the same content, or as a conflict, whose content is stored with
-- the fields that differ, in the order of `Difference`. Two external ids of one customer are no difference. Without a
-- timestamp, a retry has the same content whatever the time of the first event.
WITH repeat AS (
    DELETE FROM batch
    WHERE NOT EXISTS (SELECT FROM events_event WHERE events_event.id = batch.id)
    RETURNING *
), compared AS (
    SELECT
        repeat.*,
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
        ], NULL) AS differs,
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
        event_id, CASE WHEN is_same THEN 'same' ELSE 'conflict' END, min(differs), hash, (array_agg(body))[1], source,
        api_key_id, min(event_name), min(external_customer_id), count(*), min(received_at), max(received_at)
    FROM (
        SELECT
            event_id, differs, differs = '{}' AS is_same, source, api_key_id, event_name, external_customer_id, received_at,
            CASE WHEN differs = '{}' THEN '' ELSE md5(body::text) END AS hash,
            CASE WHEN differs <> '{}' THEN body END AS body
        FROM compared
    ) AS entries
    GROUP BY event_id, is_same, hash, source, api_key_id
    ORDER BY event_id, is_same, hash, source, api_key_id
    ON CONFLICT (event_id, kind, body_hash, source, api_key_id) DO UPDATE SET
        count = known.count + excluded.count, last_at = GREATEST(known.last_at, excluded.last_at),
        differs = excluded.differs
)
SELECT count(*), count(*) FILTER (WHERE differs <> '{}') FROM compared
