-- Numbers of a series that are missing, used by two documents, or not of the series at all.
WITH series AS (
    SELECT * FROM billing_numberseries WHERE id = %(series)s
), document AS (
    SELECT 'invoice' AS subject, id, number FROM billing_invoice
    WHERE series_id = %(series)s AND number IS NOT NULL
    UNION ALL
    SELECT 'invoice', (SELECT min(id) FROM billing_invoice WHERE joint_id = joint.id), number
    FROM billing_jointinvoice AS joint
    WHERE series_id = %(series)s AND number IS NOT NULL
    UNION ALL
    SELECT 'credit_note', id, number FROM billing_creditnote
    WHERE series_id = %(series)s AND number IS NOT NULL
), numbered AS (
    SELECT
        document.*,
        CASE WHEN left(document.number, length(series.prefix)) = series.prefix
            AND substr(document.number, length(series.prefix) + 1) ~ '^[0-9]{1,18}$'
        THEN substr(document.number, length(series.prefix) + 1)::bigint END AS place
    FROM document CROSS JOIN series
)
SELECT series.id, 'series', series.id, series.name, 'Missing number',
    '', series.prefix || lpad(expected.no::text, GREATEST(series.width, length(expected.no::text)), '0')
FROM series
CROSS JOIN generate_series(1, series.next_number - 1) AS expected (no)
WHERE NOT EXISTS (SELECT FROM numbered WHERE numbered.place = expected.no)
UNION ALL
SELECT series.id, numbered.subject, numbered.id, numbered.number, 'Number', numbered.number, 'not a number of the series'
FROM series CROSS JOIN numbered
WHERE numbered.place IS NULL OR numbered.place NOT BETWEEN 1 AND series.next_number - 1
UNION ALL
SELECT series.id, min(numbered.subject), min(numbered.id), min(numbered.number), 'Number',
    min(numbered.number), 'used ' || count(*) || ' times'
FROM series CROSS JOIN numbered
WHERE numbered.place IS NOT NULL
GROUP BY series.id, numbered.place HAVING count(*) > 1
