-- Finds the position of the first event received at or after a given time, by binary search: about 25 lookups by
-- primary key, whatever the size. Null if the ledger is empty. Several processes record times of arrival, so they may
-- be slightly out of order; the caller takes this into account.
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
