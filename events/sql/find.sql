-- Lists why events of the batch don't count: at all (without a feature), or for a feature.
-- A filter mismatch, an archived feature or a later start only matters if no other feature counts the event.
INSERT INTO finding (id, feature_id, reason)
SELECT event.id, NULL::bigint, 'unknown_event_name'
FROM batch AS event
WHERE NOT EXISTS (SELECT FROM ({names}) AS named WHERE named.name = event.event_name)
UNION ALL
SELECT id, NULL::bigint, CASE WHEN customer_id IS NULL THEN 'unknown_customer' ELSE 'customer_archived' END
FROM batch
WHERE customer_id IS NULL OR customer_archived_at <= received_at
UNION ALL
SELECT hit.id, hit.feature_id, hit.reason
FROM hit
WHERE hit.reason NOT IN ('filter_mismatch', 'feature_archived', 'before_feature_start')
UNION ALL
SELECT DISTINCT hit.id, CASE WHEN hit.reason <> 'filter_mismatch' THEN hit.feature_id END, hit.reason
FROM hit
WHERE hit.reason IN ('filter_mismatch', 'feature_archived', 'before_feature_start')
    AND NOT EXISTS (
        SELECT FROM hit AS better
        WHERE better.id = hit.id AND (
            better.reason IS NULL
            OR better.reason NOT IN ('filter_mismatch', 'feature_archived', 'before_feature_start')
            OR hit.reason = 'filter_mismatch' AND better.reason <> 'filter_mismatch'
        )
    )
