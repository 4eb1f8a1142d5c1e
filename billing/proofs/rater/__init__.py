"""A second implementation of rating, written from the documentation: small, slow, and shared with nothing.

It runs in a process of its own (`python -m billing.proofs.rater`), reads rows as JSON and imports nothing of the
product. All numbers are fractions, so only the rounding that the rules ask for happens.
"""
