"""What is stored about a person: where it is, how the change log keeps it, and how it can be erased."""
