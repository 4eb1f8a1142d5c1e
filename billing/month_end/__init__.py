"""Month end: where a month's usage went, what was charged and settled, what is earned and not yet billed."""
