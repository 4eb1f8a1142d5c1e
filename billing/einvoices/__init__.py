"""Electronic invoices after EN 16931: one description of each document in the standard's terms, written as CII or UBL.

`BT-…` and `BG-…` are the standard's numbers of business terms and of groups of them. `invoices.py` and
`credit_notes.py` describe a document, `writing.py` writes it, `problems.py` says what is missing, `storing.py` keeps
the files.
"""
