"""Month end: usage by billing status, revenue and settlements, unbilled revenue, and tasks before closing."""
