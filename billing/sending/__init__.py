"""Sends the emails of the outbox: attaches the document, hands it to the mail server, notes what became of it."""
