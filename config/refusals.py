class Refused(Exception):
    """The request can't be carried out. The message is a sentence for the person who made it."""
