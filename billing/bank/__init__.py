"""Bank files: read (`reading.py` and a module per format), imported once, matched to invoices, accepted as payments."""
