-- Invoices from %(first)s to %(last)s whose figures aren't the sums of their lines, payments, credit notes and
-- transactions of prepaid credit.
WITH invoice AS (
    SELECT * FROM billing_invoice
    WHERE id BETWEEN %(first)s AND %(last)s
        AND (%(customer)s::bigint IS NULL OR customer_id = %(customer)s)
), line AS (
    SELECT
        invoice_id,
        sum(amount) AS all_lines,
        sum(amount) FILTER (WHERE kind NOT IN ('discount', 'tax')) AS charges,
        -sum(amount) FILTER (WHERE kind = 'discount') AS discount_lines,
        sum(amount) FILTER (WHERE kind = 'tax') AS tax_lines,
        sum(discount_amount) AS discounts, sum(tax_amount) AS taxes, sum(tax_included) AS included
    FROM billing_invoiceline WHERE invoice_id IN (SELECT id FROM invoice) GROUP BY invoice_id
), payment AS (
    SELECT invoice_id, sum(amount - surplus) AS paid
    FROM billing_payment WHERE invoice_id IN (SELECT id FROM invoice) GROUP BY invoice_id
), note AS (
    SELECT invoice_id, sum(total) AS credited
    FROM billing_creditnote WHERE state = 'finalized' AND invoice_id IN (SELECT id FROM invoice) GROUP BY invoice_id
), credit AS (
    SELECT invoice_id, -sum(amount) FILTER (WHERE kind = 'applied') AS applied
    FROM billing_walletentry WHERE invoice_id IN (SELECT id FROM invoice) GROUP BY invoice_id
), figure AS (
    SELECT
        invoice.id, COALESCE(invoice.number, 'Draft ' || right(invoice.public_id, 6)) AS name, compared.*
    FROM invoice
    LEFT JOIN line ON line.invoice_id = invoice.id
    LEFT JOIN payment ON payment.invoice_id = invoice.id
    LEFT JOIN note ON note.invoice_id = invoice.id
    LEFT JOIN credit ON credit.invoice_id = invoice.id
    CROSS JOIN LATERAL (VALUES
        ('Total of lines', invoice.total, COALESCE(line.all_lines, 0)),
        ('Subtotal', invoice.subtotal, COALESCE(line.charges, 0)),
        ('Discount lines', invoice.discount_total, COALESCE(line.discount_lines, 0)),
        ('Discounts of charges', invoice.discount_total, COALESCE(line.discounts, 0)),
        ('Tax lines', invoice.tax_total, COALESCE(line.tax_lines, 0)),
        ('Tax of charges', invoice.tax_total, COALESCE(line.taxes, 0)),
        ('Included tax of charges', invoice.tax_included, COALESCE(line.included, 0)),
        ('Total', invoice.total, invoice.subtotal - invoice.discount_total + invoice.tax_total),
        ('Amount due', invoice.amount_due, invoice.total - invoice.credits_applied),
        ('Payments', invoice.amount_paid, COALESCE(payment.paid, 0)),
        ('Credit notes', invoice.amount_credited, COALESCE(note.credited, 0)),
        (
            'Prepaid credit', GREATEST(invoice.credits_applied, 0),
            CASE WHEN invoice.state = 'draft' THEN GREATEST(invoice.credits_applied, 0)
            ELSE COALESCE(credit.applied, 0) END
        )
    ) AS compared (figure, stated, calculated)
)
SELECT id, 'invoice', id, name, figure, stated, calculated FROM figure
WHERE stated IS DISTINCT FROM calculated
ORDER BY id, figure
