"""Proofs: every night, what billing says is calculated again by other means, and differences are named."""
