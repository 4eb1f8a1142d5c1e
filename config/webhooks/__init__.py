"""Signed messages to other systems: what happened is written with the change, and delivered until it is taken."""
