-- :choose  Events that occurred before the horizon, oldest arrivals first.
SELECT id FROM events_event
WHERE occurred_at < %(horizon)s AND received_at < %(horizon)s
ORDER BY id LIMIT %(limit)s

-- :remember  From its commit on, batches that begin recognize a repeat of these events, whether or not their rows are there.
INSERT INTO events_prunedeventid (event_id)
SELECT event_id FROM events_event WHERE id = ANY(%(ids)s)
ORDER BY event_id
ON CONFLICT DO NOTHING

-- :problems
DELETE FROM events_problem WHERE event_id = ANY(%(ids)s)

-- :voids
DELETE FROM events_eventvoid WHERE event_id = ANY(%(ids)s)

-- :events  Only those whose ids are known.
DELETE FROM events_event AS event USING events_prunedeventid AS known
WHERE event.id = ANY(%(ids)s) AND known.event_id = event.event_id
