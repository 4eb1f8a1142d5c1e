"""PDF documents: invoices, credit notes, statements."""
