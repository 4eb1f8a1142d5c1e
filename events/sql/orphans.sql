-- Problems and voids belong to events of the ledger: a batch and a replay write both in one commit, and retention deletes
-- both in one commit.

-- :count
SELECT (SELECT count(*) FROM events_problem) + (SELECT count(*) FROM events_eventvoid)

-- :find
SELECT 'problem', problem.id, problem.event_id, problem.reason::text
FROM events_problem AS problem
WHERE NOT EXISTS (SELECT FROM events_event AS event WHERE event.id = problem.event_id)
UNION ALL
SELECT 'void', void.id, void.event_id, ''
FROM events_eventvoid AS void
WHERE NOT EXISTS (SELECT FROM events_event AS event WHERE event.id = void.event_id)
ORDER BY 1, 2
