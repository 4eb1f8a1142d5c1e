"""The checks that a run of proofs consists of: each says what it covers, and proves it part by part."""
