-- External ids similar to the sent id: equal except for case and punctuation, or one edit away (by LIKE patterns).
-- Cheap tests come first: the length, and for an edit the first or last half.
SELECT external_id
FROM customers_customer
WHERE length(external_id) BETWEEN length(%(sent)s) - 4 AND length(%(sent)s) + 4
    AND (
        translate(lower(external_id), '._-/: ', '') = translate(lower(%(sent)s), '._-/: ', '')
        OR (
            length(external_id) BETWEEN length(%(sent)s) - 1 AND length(%(sent)s) + 1
            AND (starts_with(external_id, %(first)s) OR right(external_id, length(%(last)s)) = %(last)s)
            AND external_id LIKE ANY (%(patterns)s)
        )
    )
ORDER BY external_id
LIMIT 200
