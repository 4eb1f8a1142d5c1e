-- Removes duplicates from the batch and logs them: with the same content, or as a conflict, whose content is stored.
-- Without a timestamp, a retry has the same content whatever the time of the first event.
WITH repeat AS (
    DELETE FROM batch
    WHERE NOT EXISTS (SELECT FROM events_event WHERE events_event.id = batch.id)
    RETURNING *
), compared AS (
    SELECT
        repeat.*,
        first.id IS NULL OR (
            first.event_name = repeat.event_name
            AND first.external_customer_id = repeat.external_customer_id
            AND first.properties = repeat.properties
            AND (first.occurred_at = repeat.occurred_at OR NOT (first.has_timestamp AND repeat.has_timestamp))
        ) AS is_same,
        jsonb_build_object(
            'event_name', repeat.event_name, 'external_customer_id', repeat.external_customer_id,
            'timestamp', CASE WHEN repeat.has_timestamp THEN repeat.occurred_at END,
            'source', repeat.source, 'properties', repeat.properties
        ) AS body
    FROM repeat
    LEFT JOIN events_event AS first ON first.event_id = repeat.event_id
), logged AS (
    INSERT INTO events_duplicateevent AS known (
        event_id, kind, body_hash, body, source, api_key_id, event_name, external_customer_id, count, first_at, last_at
    )
    SELECT
        event_id, CASE WHEN is_same THEN 'same' ELSE 'conflict' END, hash, (array_agg(body))[1], source, api_key_id,
        min(event_name), min(external_customer_id), count(*), min(received_at), max(received_at)
    FROM (
        SELECT
            event_id, is_same, source, api_key_id, event_name, external_customer_id, received_at,
            CASE WHEN is_same THEN '' ELSE md5(body::text) END AS hash,
            CASE WHEN NOT is_same THEN body END AS body
        FROM compared
    ) AS entries
    GROUP BY event_id, is_same, hash, source, api_key_id
    ORDER BY event_id, is_same, hash, source, api_key_id
    ON CONFLICT (event_id, kind, body_hash, source, api_key_id) DO UPDATE SET
        count = known.count + excluded.count, last_at = GREATEST(known.last_at, excluded.last_at)
)
SELECT count(*), count(*) FILTER (WHERE NOT is_same) FROM compared
