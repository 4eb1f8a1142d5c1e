"""Simulations: invoices of past periods calculated again on other prices. Nothing but the simulation is saved.

`selection` says which subscriptions, `scenario` what changes, `replay` calculates, `rows` compares with what was
invoiced, `running` does it in chunks, `results` adds up.
"""
