-- The state of each event with a finding: 3 if it doesn't count at all, 2 if it counts partly.
SELECT
    finding.id,
    CASE WHEN bool_or(finding.feature_id IS NULL) OR NOT EXISTS (
        SELECT FROM hit WHERE hit.id = finding.id AND hit.reason IS NULL
    ) THEN 3 ELSE 2 END AS state
FROM finding
GROUP BY finding.id
