"""What functions raise when they can't do what they are called for."""


class Refused(Exception):
    """The action isn't possible in the current state. The text is a sentence for the user."""


class ReasonRequired(Refused):
    """The action needs a reason."""
