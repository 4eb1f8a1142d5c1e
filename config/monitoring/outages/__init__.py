"""Faults during which no alarm can be stored: PostgreSQL is `unreachable`, or refuses to write (`unstored`)."""
