from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError


def validate_timezone(name: str) -> None:
    """Refuse what is not an IANA time zone, such as Europe/Berlin."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(
            "%(name)s is not a time zone. Write an IANA name, for example Europe/Berlin.",
            params={"name": name},
        ) from error
