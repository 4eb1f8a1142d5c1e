class Refused(Exception):
    """What was asked can't be done as things stand. The text is a sentence for the person who asked."""
