from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError


def validate_timezone(name: str) -> None:
    """Validate an IANA time zone name, such as Europe/Berlin."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValidationError(
            "%(name)s is not a time zone. Enter an IANA name, for example Europe/Berlin.",
            params={"name": name},
        ) from error
