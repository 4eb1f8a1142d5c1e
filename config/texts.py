def is_text(given: str) -> bool:
    """Tell whether the database can keep the text, so can be asked for it."""
    return "\0" not in given and not any("\ud800" <= sign <= "\udfff" for sign in given)
