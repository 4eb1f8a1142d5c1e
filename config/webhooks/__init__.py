"""Signed messages to other systems, saved in the transaction of a change and delivered until they are accepted."""
