"""Late usage: what changes about an invoiced period becomes lines on the next invoice.

figures      pure: what a price charged for a period, and the difference of two such
wordings     pure: adjustments as the lines of the next invoice
policy       what becomes of a difference, as the company decided
finding      from touched hours to the invoiced periods that have to be looked at again
reconciling  a period worked out anew, less what was invoiced for it: adjustments
carrying     adjustments on their way: taken by an invoice, given back by a void one
deciding     approved, ignored and taken up again by staff
crediting    reductions on credit notes
ended        an invoice for subscriptions that get no other
checking     the nightly look whether invoiced lines still say what usage says
"""
