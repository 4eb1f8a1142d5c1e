-- :choose  Events that occurred before the horizon, oldest arrivals first.
SELECT id FROM events_event
WHERE occurred_at < %(horizon)s AND received_at < %(horizon)s
ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED

-- :problems
DELETE FROM events_problem WHERE event_id = ANY(%(ids)s)

-- :voids
DELETE FROM events_eventvoid WHERE event_id = ANY(%(ids)s)

-- :events  The ids stay known forever.
WITH gone AS (DELETE FROM events_event WHERE id = ANY(%(ids)s) RETURNING event_id)
INSERT INTO events_prunedeventid (event_id) SELECT event_id FROM gone ON CONFLICT DO NOTHING
