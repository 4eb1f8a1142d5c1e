-- Functions that erase personal data in events. They run as their owner, because the application can't change events.
-- Each erases only rows of a customer with an erasure, and only to fixed or calculated values.

-- Whether a text is what erased_value returned. Other texts that begin so were sent by a client.
CREATE OR REPLACE FUNCTION is_erased_value(value text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN value ~ '^erased-[0-9a-f]{64}$';

-- What replaces a distinct value. Equal values stay equal, so counts of distinct values stay the same.
CREATE OR REPLACE FUNCTION erased_value(value text, salt bytea) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE
        WHEN value IS NULL OR public.is_erased_value(value) THEN value
        ELSE 'erased-' || encode(sha256(salt || convert_to(public.event_unique_key(value), 'UTF8')), 'hex')
    END;

-- What usage reads in events of a name, or of any name: a number, one of the values of a filter, a distinct value.
CREATE OR REPLACE FUNCTION needed_properties(called text) RETURNS TABLE (
    path text, is_number boolean, is_filter boolean, is_unique boolean, features bigint[], wanted jsonb
)
LANGUAGE sql STABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp AS $$
    WITH named AS (
        SELECT id, event_name::text AS name FROM catalog_feature WHERE kind = 'metered'
        UNION
        SELECT feature.id, also.alias::text
        FROM catalog_eventnamealias AS also
        JOIN catalog_feature AS feature ON feature.kind = 'metered' AND feature.event_name = also.event_name
    ), path AS (
        SELECT id, field::text AS path, aggregation, NULL::jsonb AS wanted FROM catalog_feature WHERE field <> ''
        UNION ALL
        SELECT id, unnest(field_aliases)::text, aggregation, NULL FROM catalog_feature WHERE field <> ''
        UNION ALL
        SELECT feature.id, filter.key, 'filter', filter.value
        FROM catalog_feature AS feature, jsonb_each(feature.filters) AS filter
        UNION ALL
        SELECT feature.id, filter.key, 'filter', filter.value
        FROM catalog_feature AS feature, jsonb_each(feature.excluded) AS filter
    )
    SELECT
        path.path,
        bool_or(path.aggregation NOT IN ('filter', 'unique_count')),
        bool_or(path.aggregation = 'filter'),
        bool_or(path.aggregation = 'unique_count'),
        array_agg(path.id),
        jsonb_agg(path.wanted) FILTER (WHERE path.wanted IS NOT NULL)
    FROM named JOIN path USING (id)
    WHERE named.name = called OR called IS NULL
    GROUP BY named.name, path.path
    ORDER BY path.path
$$;

-- What is left of a property: what usage needs, and the type of anything else.
CREATE OR REPLACE FUNCTION erased_property(
    value jsonb, is_number boolean, is_filter boolean, is_unique boolean, wanted jsonb, salt bytea
) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE
        WHEN jsonb_typeof(value) IN ('boolean', 'null') OR is_unique AND (is_number OR is_filter) THEN value
        WHEN jsonb_typeof(value) = 'object' THEN '{}'
        WHEN jsonb_typeof(value) = 'array' THEN '[]'
        WHEN is_unique THEN to_jsonb(public.erased_value(public.event_text(value), salt))
        WHEN is_number AND (jsonb_typeof(value) = 'number' OR public.event_number(value) IS NOT NULL) THEN value
        WHEN is_filter AND wanted @> jsonb_build_array(jsonb_build_array(public.event_text(value))) THEN value
        ELSE '"Erased"'
    END;

-- The properties that usage needs. A path with dots is read as a name first, and else as names within each other.
CREATE OR REPLACE FUNCTION erased_properties(properties jsonb, event_name text, salt bytea) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    need record;
    parts text[];
    kept jsonb := '{}';
BEGIN
    FOR need IN SELECT * FROM needed_properties(event_name) LOOP
        parts := string_to_array(need.path, '.');
        IF properties ? need.path THEN
            kept := kept || jsonb_build_object(need.path, erased_property(
                properties -> need.path, need.is_number, need.is_filter, need.is_unique, need.wanted, salt
            ));
        ELSIF cardinality(parts) > 1 AND properties #> parts IS NOT NULL THEN
            FOR depth IN 1 .. cardinality(parts) - 1 LOOP
                IF jsonb_typeof(kept #> parts[1:depth]) IS DISTINCT FROM 'object' THEN
                    kept := jsonb_set(kept, parts[1:depth], '{}');
                END IF;
            END LOOP;
            kept := jsonb_set(kept, parts, erased_property(
                properties #> parts, need.is_number, need.is_filter, need.is_unique, need.wanted, salt
            ));
        END IF;
    END LOOP;
    RETURN kept;
END $$;

-- Erases a chunk of a customer's events after an id, with their problems and voids: returns the last id, and how many
-- events changed. The last id is null after the last chunk.
CREATE OR REPLACE FUNCTION erase_personal_events(
    subject bigint, salt bytea, after bigint, most bigint, OUT last_id bigint, OUT changed bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    names text[] := known_external_ids(subject);
    pseudonym text := kept_external_id(subject);
    ids bigint[];
BEGIN
    ids := ARRAY(
        (SELECT id FROM events_event WHERE customer_id = subject AND id > after ORDER BY id LIMIT most)
        UNION
        (
            SELECT event_id FROM events_problem
            WHERE external_customer_id = ANY(names) AND event_id > after ORDER BY event_id LIMIT most
        )
        ORDER BY 1 LIMIT most
    );
    last_id := ids[cardinality(ids)];
    UPDATE events_event AS event
    SET properties = erased.properties, external_customer_id = pseudonym, is_touched = true
    FROM (
        SELECT id, erased_properties(properties, event_name, salt) AS properties
        FROM events_event WHERE id = ANY(ids)
    ) AS erased
    WHERE event.id = erased.id
        AND (event.properties, event.external_customer_id) IS DISTINCT FROM (erased.properties, pseudonym);
    GET DIAGNOSTICS changed = ROW_COUNT;
    UPDATE events_problem
    SET detail = '{}', external_customer_id = pseudonym,
        closing = CASE WHEN closing = '' THEN '' ELSE 'Erased' END
    WHERE event_id = ANY(ids)
        AND (detail <> '{}' OR external_customer_id <> pseudonym OR closing NOT IN ('', 'Erased'));
    UPDATE events_eventvoid SET reason = 'Erased' WHERE event_id = ANY(ids) AND reason <> 'Erased';
END $$;

-- Erases what else is stored about a customer's events: texts of problems and voids, which can be written long after the
-- event, duplicates, distinct values, large replays, notified causes. Returns how many texts and duplicates changed.
CREATE OR REPLACE FUNCTION erase_personal_rest_of_events(subject bigint, salt bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    names text[] := known_external_ids(subject);
    pseudonym text := kept_external_id(subject);
    changed bigint := 0;
    more bigint;
BEGIN
    UPDATE events_problem
    SET detail = '{}', external_customer_id = pseudonym,
        closing = CASE WHEN closing = '' THEN '' ELSE 'Erased' END
    WHERE external_customer_id = ANY(names)
        AND (detail <> '{}' OR external_customer_id <> pseudonym OR closing NOT IN ('', 'Erased'));
    GET DIAGNOSTICS more = ROW_COUNT;
    changed := changed + more;
    UPDATE events_eventvoid AS void SET reason = 'Erased'
    FROM events_event AS event
    WHERE event.id = void.event_id AND event.customer_id = subject AND void.reason <> 'Erased';
    GET DIAGNOSTICS more = ROW_COUNT;
    changed := changed + more;
    UPDATE events_duplicateevent
    SET body = body || jsonb_build_object('properties', '{}'::jsonb, 'external_customer_id', pseudonym),
        external_customer_id = pseudonym, dismissal = CASE WHEN dismissal = '' THEN '' ELSE 'Erased' END
    WHERE external_customer_id = ANY(names) AND (
        body -> 'properties' <> '{}' OR external_customer_id <> pseudonym OR dismissal NOT IN ('', 'Erased')
    );
    GET DIAGNOSTICS more = ROW_COUNT;
    changed := changed + more;
    UPDATE events_uniquevalue AS known SET value = erased_value(known.value, salt)
    WHERE known.customer_id = subject AND NOT is_erased_value(known.value) AND NOT EXISTS (
        SELECT FROM needed_properties(NULL) AS needed
        WHERE known.feature_id = ANY(needed.features) AND needed.is_unique AND (needed.is_number OR needed.is_filter)
    );
    UPDATE events_mendingrun
    SET title = 'Erased', reason = CASE WHEN reason = '' THEN '' ELSE 'Erased' END, parameters = '{}'
    WHERE finished_at IS NOT NULL AND (
        parameters ->> 'external_customer_id' = ANY(names) OR parameters ->> 'external_id' = ANY(names)
        OR action = 'map_customer' AND (parameters ->> 'alias' = ANY(names) OR parameters ->> 'meant' = ANY(names))
    );
    DELETE FROM events_toldcause WHERE external_customer_id = ANY(names) AND external_customer_id <> pseudonym;
    RETURN changed;
END $$;
