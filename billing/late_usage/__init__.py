"""Late usage: changes to the usage of invoiced periods, billed or refunded on the next invoice.

checks      from changed hours of usage to the invoiced periods that have to be recalculated
reconcile   a period recalculated with current usage; its differences become adjustments
difference  pure: what a period charges now, less what was charged for it
credited    credit notes that staff wrote on usage charges
policy      whether a difference is billed, held for approval, or left
decisions   adjustments approved, ignored and reopened by staff

Elsewhere: `charges.late_items` and `charges.late_lines` write adjustments as invoice lines,
`invoicing.late_adjustments` attaches them to invoices, and `runs.late_usage` credits, bills and checks them.
"""
