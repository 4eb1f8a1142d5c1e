-- :choose  Events that occurred before the horizon, oldest arrivals first.
SELECT id FROM events_event
WHERE occurred_at < %(horizon)s AND received_at < %(horizon)s
ORDER BY id LIMIT %(limit)s

-- :remember  From its commit on, batches that begin recognize a repeat of these events, whether or not their rows are
-- there. An event that had returned from a part isn't found in the part any more.
INSERT INTO events_knownid AS known (key)
SELECT events_key(event_id) FROM events_event WHERE id = ANY(%(ids)s)
ORDER BY 1
ON CONFLICT (key) DO UPDATE SET part = NULL WHERE known.part IS NOT NULL

-- :remember_for_last_release  The table that workers of the last release read.
INSERT INTO events_prunedeventid (event_id)
SELECT event_id FROM events_event WHERE id = ANY(%(ids)s)
ORDER BY event_id
ON CONFLICT DO NOTHING

-- :events  Waits for replays and voids that have locked an event.
DELETE FROM events_event AS event WHERE event.id = ANY(%(ids)s) RETURNING event.id

-- :problems  Comes after the events, so that it sees the problems of a replay which held one of them.
DELETE FROM events_problem WHERE event_id = ANY(%(ids)s)

-- :voids
DELETE FROM events_eventvoid WHERE event_id = ANY(%(ids)s)
