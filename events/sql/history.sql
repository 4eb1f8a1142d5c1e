-- Sealing: settled events leave the ledger for immutable parts, after a part was read back and found equal.

-- :scratch  `sealed` are events that were read from parts. A commit empties it. Returns whether it has any.
CREATE TEMPORARY TABLE IF NOT EXISTS sealed (LIKE events_event) ON COMMIT DELETE ROWS;
SELECT EXISTS (SELECT FROM sealed)

-- :index  Few events are read faster without an index, which each of them and each commit would have to update.
CREATE INDEX IF NOT EXISTS sealed_usage ON sealed (customer_id, event_name, occurred_at)

-- :scratch_gathered  `gathered` are events to write, in the order of a part. Most readers don't need it, and a commit
-- empties every scratch table that the session has.
CREATE TEMPORARY TABLE IF NOT EXISTS gathered (LIKE events_event) ON COMMIT DELETE ROWS;
DELETE FROM gathered

-- :gather  Sealable events of a range of arrival: they counted at once, and nothing touched them since. Events that
-- arrived late have parts of their own, so that they don't widen the times of the others.
INSERT INTO gathered ({columns})
SELECT {columns} FROM events_event AS event
WHERE event.id >= %(first)s AND event.id < %(last)s
    AND event.state = 1 AND NOT event.is_touched AND event.received_at < %(before)s
    AND (event.received_at - event.occurred_at > interval '3 days') = %(is_late)s
    AND NOT EXISTS (SELECT FROM events_problem AS problem WHERE problem.event_id = event.id)
ORDER BY event.customer_id, event.event_name COLLATE "C", event.occurred_at, event.id

-- :rows
SELECT
    id, customer_id, api_key_id, occurred_at AT TIME ZONE 'UTC', received_at AT TIME ZONE 'UTC',
    processed_at AT TIME ZONE 'UTC', has_timestamp, event_id, event_name, external_customer_id, source, properties
FROM gathered

-- :content  A hash of everything that a part holds about an event.
hashtextextended(ROW(
    event.id, event.customer_id, event.api_key_id, extract(epoch FROM event.occurred_at),
    extract(epoch FROM event.received_at), extract(epoch FROM event.processed_at), event.has_timestamp,
    event.event_id, event.event_name, event.external_customer_id, event.source, event.properties
)::text, 0)

-- :sums  Number, checksum, and times of the gathered events.
SELECT count(*), COALESCE(bit_xor({content}), 0), min(event.occurred_at), max(event.occurred_at) FROM gathered AS event

-- :know  From its commit on, a repeat of these events is recognized, whether or not their rows are there.
INSERT INTO events_knownid (key, part)
SELECT DISTINCT events_key(event_id), %(part)s FROM gathered ORDER BY 1
ON CONFLICT (key) DO UPDATE SET part = excluded.part

-- :running  The transactions that are running in this database, of any role.
SELECT COALESCE(array_agg(held.virtualtransaction), '{}')
FROM pg_locks AS held JOIN pg_stat_activity AS session USING (pid)
WHERE held.locktype = 'virtualxid' AND held.granted AND held.pid <> pg_backend_pid()
    AND session.datname = current_database() AND COALESCE(session.backend_type, 'client backend') = 'client backend'

-- :forget  Events of the part that nothing touched since it was written.
DELETE FROM events_event AS event USING events_knownid AS known
WHERE known.key = events_key(event.event_id) AND known.part = %(part)s
    AND event.id >= %(first)s AND event.id < %(last)s AND event.state = 1 AND NOT event.is_touched

-- :remaining  Events of the part that are in the ledger nevertheless: those are the ones that count.
SELECT count(*) FROM events_event AS event JOIN events_knownid AS known ON known.key = events_key(event.event_id)
WHERE known.part = %(part)s AND event.id >= %(first)s AND event.id < %(last)s

-- :parts_of  The parts of event ids.
SELECT sent.event_id, known.part
FROM unnest(%(event_ids)s::text[]) AS sent (event_id)
JOIN events_knownid AS known ON known.key = events_key(sent.event_id)
WHERE known.part IS NOT NULL

-- :meeting  The parts whose times meet those of a selection, and whether the ledger may have events of them. Keeps them
-- as they are until the transaction ends.
SELECT
    selection.place, part.id, part.name, part.state = 2 OR part.returned > 0, pg_advisory_xact_lock_shared(%(lock)s, part.id)
FROM unnest(
    %(places)s::int[], %(parts)s::int[], %(starts)s::timestamptz[], %(ends)s::timestamptz[], %(first_ids)s::bigint[], %(last_ids)s::bigint[]
) AS selection (place, part, start, "end", first_id, last_id)
JOIN events_sealedpart AS part
    ON part.state IN (2, 3) AND part.rows > 0 AND (selection.part IS NULL OR part.id = selection.part)
    AND (selection.start IS NULL OR part.occurred_until >= selection.start)
    AND (selection."end" IS NULL OR part.occurred_from < selection."end")
    AND (selection.first_id IS NULL OR part.first_event <= selection.last_id AND part.last_event > selection.first_id)
ORDER BY selection.place, part.id

-- :analyze
ANALYZE sealed (customer_id, event_name, occurred_at)

-- :add
INSERT INTO sealed ({columns})
SELECT {columns} FROM gathered
WHERE NOT EXISTS (SELECT FROM sealed WHERE sealed.id = gathered.id)

-- :drop_hot  Of an event that is in a part and in the ledger, the ledger's row is the one.
DELETE FROM sealed USING events_event AS event WHERE event.id = sealed.id

-- :return  Sealed events as events of the ledger again, which something is about to change.
INSERT INTO events_event ({columns})
SELECT
    id, customer_id, api_key_id, occurred_at, received_at, processed_at, state, has_timestamp,
    event_id, event_name, external_customer_id, source, properties, true
FROM sealed WHERE id = ANY(%(ids)s)
ORDER BY event_id
ON CONFLICT DO NOTHING

-- :unseal  The gathered events of a part as events of the ledger again, unless they are there, or retention removed them.
INSERT INTO events_event ({columns})
SELECT {columns} FROM gathered
WHERE EXISTS (SELECT FROM events_knownid AS known WHERE known.key = events_key(event_id) AND known.part = %(part)s)
ORDER BY id
ON CONFLICT DO NOTHING

-- :leave_part
UPDATE events_knownid AS known SET part = NULL
FROM gathered WHERE known.key = events_key(gathered.event_id) AND known.part = %(part)s

-- :count_returned
UPDATE events_sealedpart AS part SET returned = part.returned + back.events
FROM (
    SELECT known.part, count(*) AS events
    FROM sealed JOIN events_knownid AS known ON known.key = events_key(sealed.event_id)
    WHERE sealed.id = ANY(%(ids)s)
    GROUP BY known.part
) AS back
WHERE part.id = back.part

-- :drop_touched  Events that are in the ledger again.
DELETE FROM gathered USING events_event AS event WHERE event.id = gathered.id AND event.is_touched
