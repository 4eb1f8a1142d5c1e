-- What became of the events that occurred in [start, end): of all, or of some customers. `names` are external ids, for
-- events whose customer isn't known; null for all customers.

-- :received
SELECT count(*) FROM {ledger} AS event
WHERE event.occurred_at >= %(start)s AND event.occurred_at < %(end)s AND {is_once}
    AND (%(customer)s::bigint IS NULL OR event.customer_id = %(customer)s
        OR event.customer_id IS NULL AND event.external_customer_id = ANY(%(names)s::text[]))

-- :states  Each event with its state and evidence: a problem that is open or dismissed, a void. Without, it is null.
SELECT event.id, event.event_id, event.event_name, event.occurred_at, event.external_customer_id,
    CASE
        WHEN event.state IN (1, 2) THEN event.state
        WHEN event.state = 3 AND EXISTS (
            SELECT FROM events_problem AS problem WHERE problem.event_id = event.id AND problem.state = 1
        ) THEN 3
        WHEN event.state = 4 AND EXISTS (SELECT FROM events_eventvoid AS void WHERE void.event_id = event.id) THEN 4
        WHEN event.state = 5 AND EXISTS (
            SELECT FROM events_problem AS problem WHERE problem.event_id = event.id AND problem.state = 3
        ) THEN 5
    END AS state
FROM {ledger} AS event
WHERE event.occurred_at >= %(start)s AND event.occurred_at < %(end)s AND {is_once}
    AND (%(customer)s::bigint IS NULL OR event.customer_id = %(customer)s
        OR event.customer_id IS NULL AND event.external_customer_id = ANY(%(names)s::text[]))

-- :duplicates
SELECT COALESCE(sum(count) FILTER (WHERE kind = 'same'), 0)::bigint,
    COALESCE(sum(count) FILTER (WHERE kind <> 'same'), 0)::bigint
FROM events_duplicateevent
WHERE last_at >= %(start)s AND last_at < %(end)s
    AND (%(customer)s::bigint IS NULL OR external_customer_id = ANY(%(names)s::text[]))

-- :refused  A refused request has no customer that is known.
SELECT COALESCE(sum(count), 0)::bigint FROM events_refusedrequest
WHERE last_at >= %(start)s AND last_at < %(end)s AND %(customer)s::bigint IS NULL

-- :waiting
SELECT count(*) FROM events_inboxevent
WHERE occurred_at >= %(start)s AND occurred_at < %(end)s
    AND (%(customer)s::bigint IS NULL OR external_customer_id = ANY(%(names)s::text[]))

-- :states_of_feature  What became of each event whose name a feature counts. Null is an event that nothing explains.
SELECT event.id, event.event_id, event.event_name, event.occurred_at, event.external_customer_id,
    CASE
        WHEN event.state = 4 THEN 4
        WHEN ({reason}) IN ('filter_mismatch', 'feature_archived', 'before_feature_start') THEN 0
        WHEN EXISTS (
            SELECT FROM events_problem AS problem
            WHERE problem.event_id = event.id AND problem.state = 1
                AND (problem.feature_id IS NULL OR problem.feature_id = feature.id)
        ) THEN 3
        WHEN EXISTS (
            SELECT FROM events_problem AS problem
            WHERE problem.event_id = event.id AND problem.state = 3
                AND (problem.feature_id IS NULL OR problem.feature_id = feature.id)
        ) THEN 5
        WHEN event.state IN (1, 2) AND ({reason}) IS NULL THEN 1
    END AS state
FROM catalog_feature AS feature
JOIN ({names}) AS named ON named.id = feature.id
JOIN {ledger} AS event ON event.event_name = named.name
    AND event.occurred_at >= %(start)s AND event.occurred_at < %(end)s
    AND (%(customer)s::bigint IS NULL OR event.customer_id = %(customer)s
        OR event.customer_id IS NULL AND event.external_customer_id = ANY(%(names)s::text[]))
CROSS JOIN LATERAL ({reading}) AS reading
WHERE feature.id = %(feature)s AND {is_once}

-- :by_state
SELECT state, count(*) FROM ({rows}) AS event GROUP BY 1

-- :with_states  Null for all states, and for events without a state.
SELECT event_id, event_name, occurred_at, external_customer_id
FROM ({rows}) AS event
WHERE %(states)s::int[] IS NULL OR state = ANY(%(states)s::int[])
ORDER BY occurred_at, id
