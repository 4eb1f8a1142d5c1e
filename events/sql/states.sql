-- The state of each event that something keeps from counting: 3 where it counts for nothing, 2 where for a part.
SELECT
    finding.id,
    CASE WHEN bool_or(finding.feature_id IS NULL) OR NOT EXISTS (
        SELECT FROM hit WHERE hit.id = finding.id AND hit.reason IS NULL
    ) THEN 3 ELSE 2 END AS state
FROM finding
GROUP BY finding.id
