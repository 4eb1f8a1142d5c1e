"""Attacks on a running product: each test does what an attacker would do, and shows that nothing comes of it."""
