-- Statements with which the Query tool reads the events of some customers in [start, end).

-- :scope
unnest(%(customers)s::bigint[]) WITH ORDINALITY AS wanted (customer_id, no)
JOIN catalog_feature AS feature ON feature.id = %(feature)s
JOIN ({names}) AS named ON named.id = feature.id
JOIN {ledger} AS event
    ON event.customer_id = wanted.customer_id AND event.event_name = named.name
    AND event.occurred_at >= %(start)s AND event.occurred_at < %(end)s

-- :sums
count(*), COALESCE(sum(number), 0), COALESCE(sum(number * extract(epoch FROM occurred_at)), 0), max(number), min(number),
(array_agg(number ORDER BY occurred_at DESC, id DESC))[1], count(DISTINCT unique_key)

-- :by_customer
SELECT no, {sums} FROM ({rows}) AS row GROUP BY no

-- :by_property
SELECT label, {sums} FROM ({rows}) AS row GROUP BY label ORDER BY count(*) DESC, label LIMIT %(limit)s

-- :label  The property's value as text; objects and lists as JSON.
left(COALESCE(event_text({value}), ({value})::text), 200) AS label,

-- :value
COALESCE(event.properties -> %(property)s, event_path(event.properties, %(property)s))
