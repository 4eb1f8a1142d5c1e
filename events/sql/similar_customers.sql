-- External ids that are nearly the sent one: equal but for capitals or marks, or one edit away (patterns with one
-- free place). Cheap tests first: an id of about the same length, which for an edit agrees in its first or last half.
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
