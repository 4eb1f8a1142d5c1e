"""Export and erasure of a customer's personal data, keeping what the law requires."""
