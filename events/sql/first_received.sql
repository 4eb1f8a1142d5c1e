-- Finds the place in the order of arrival of the first event received at or after a moment, by halving the ledger:
-- some twenty-five looks at the primary key, whatever the size. Null when the ledger is empty.
-- Arrivals are noted by several processes, so neighbours can be a moment out of order: the caller allows for it.
WITH RECURSIVE search (low, high) AS (
    SELECT min(id), max(id) + 1 FROM events_event
    UNION ALL
    SELECT
        CASE WHEN probe.received_at < %(moment)s THEN probe.id + 1 ELSE search.low END,
        CASE WHEN probe.received_at < %(moment)s THEN search.high ELSE search.low + (search.high - search.low) / 2 END
    FROM search, LATERAL (
        SELECT id, received_at FROM events_event
        WHERE id >= search.low + (search.high - search.low) / 2
        ORDER BY id LIMIT 1
    ) AS probe
    WHERE search.low < search.high
)
SELECT min(low) FROM search WHERE low >= high
