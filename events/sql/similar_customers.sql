-- External ids similar to the sent id, which is in Unicode's composed form: equal except for encoding, case and
-- punctuation, or one edit away (by LIKE patterns). Cheap tests come first: the length, and for an edit the first or last
-- half. Only ids with letters beyond ASCII can have another form.
SELECT customer.external_id
FROM customers_customer AS customer
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN octet_length(customer.external_id) = length(customer.external_id) THEN customer.external_id
        ELSE normalize(customer.external_id, NFC)
    END AS external_id
    OFFSET 0
) AS composed
WHERE length(composed.external_id) BETWEEN length(%(sent)s) - 4 AND length(%(sent)s) + 4
    AND (
        translate(lower(composed.external_id), '._-/: ', '') = translate(lower(%(sent)s), '._-/: ', '')
        OR (
            length(composed.external_id) BETWEEN length(%(sent)s) - 1 AND length(%(sent)s) + 1
            AND (starts_with(composed.external_id, %(first)s) OR right(composed.external_id, length(%(last)s)) = %(last)s)
            AND composed.external_id LIKE ANY (%(patterns)s)
        )
    )
ORDER BY customer.external_id
LIMIT 200
