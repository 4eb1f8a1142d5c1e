"""What finance hands out as PDF: invoices, credit notes, statements."""
