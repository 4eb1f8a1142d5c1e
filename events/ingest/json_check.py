"""Check a JSON text thoroughly: slower than decoding, but it names the field and the reason."""

import json
import re
from decimal import Decimal
from typing import Any, NoReturn

DEEPEST = 32
LONGEST_KEY = 255
LONGEST_STRING = 16 * 1024
MOST_PROPERTIES = 256
MOST_DIGITS = 100
LARGEST_EXPONENT = 308  # of a double, so that any number from a client's JSON library is accepted
MOST_DECIMALS = 400  # enough for the smallest double, 5e-324, with all its digits
LONGEST_NUMBER = 1000  # characters; a longer number always has too many digits
OUT_OF_RANGE = f"is out of range: numbers stay below 1e{LARGEST_EXPONENT + 1} and have at most {MOST_DECIMALS} decimals"

_lone_surrogate = re.compile("[\ud800-\udfff]").search
_exponent = re.compile(r"[eE][+-]?0*(\d+)\Z").search
_place = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<where>[^`]*)`)?", re.DOTALL).fullmatch
_wrong_type = re.compile(r"Expected `(?P<wanted>[^`]*)`, got `(?P<sent>[^`]*)`").fullmatch
_wrong_length = re.compile(r"Expected `(?P<kind>str|array)` of length (?P<sign>[<>])= (?P<limit>\d+)").fullmatch
_missing = re.compile(r"Object missing required field `(?P<name>[^`]*)`").fullmatch

WORDS = {
    "str": "a string",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
}


class PayloadRefused(Exception):
    """A field of the request is invalid; `{field} {reason}` is a sentence."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


class _Number(str):
    """A JSON number as it was sent."""

    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    """A JSON object with all its pairs, including repeated keys."""

    __slots__ = ()


class _NoSuchConstant(ValueError):
    """NaN or Infinity, which Python reads but JSON doesn't have."""


def _refuse_constant(name: str) -> NoReturn:
    raise _NoSuchConstant(name)


_read = json.JSONDecoder(
    object_pairs_hook=_Object, parse_float=_Number, parse_int=_Number, parse_constant=_refuse_constant
).decode


def check_properties(text: str, path: str) -> None:
    """Refuse properties that PostgreSQL can't store exactly or that exceed a limit. The text must be JSON."""
    value = _load(text, path)
    if not isinstance(value, _Object):
        raise PayloadRefused(path, f"must be an object, not {_word_for(value)}")
    if len(value) > MOST_PROPERTIES:
        raise PayloadRefused(path, f"must have at most {MOST_PROPERTIES} properties, not {len(value)}")
    _check(value, path, 1)


def check_fields_once(text: str) -> None:
    """Refuse an event or batch with a repeated field, because it isn't clear which value was meant."""
    body = _load(text, "body")
    if not isinstance(body, _Object):
        _check_keys_of_items(body, "")
        return
    _check_keys(body, "")
    for field, events in body:
        if field == "events" and isinstance(events, list):
            _check_keys_of_items(events, "events")


def _check_keys_of_items(events: list[Any], path: str) -> None:
    for index, event in enumerate(events):
        if isinstance(event, _Object):
            _check_keys(event, f"{path}[{index}]")


def check_text(value: str, path: str) -> None:
    """Refuse characters that PostgreSQL can't store."""
    if "\x00" in value:
        raise PayloadRefused(path, "must not contain the NUL character (\\u0000)")
    if _lone_surrogate(value):
        raise PayloadRefused(path, "contains half of a UTF-16 surrogate pair, which isn't a character")


def explain_malformed(text: str) -> NoReturn:
    """Explain why the body couldn't be decoded."""
    _check(_load(text, "body"), "", -3)  # the batch, its list and the event don't count towards the depth
    raise PayloadRefused("body", "is not valid JSON")


def translate(message: str) -> PayloadRefused:
    """Rephrase the decoder's message about a field."""
    match = _place(message)
    what, where = (match["what"], match["where"] or "") if match else (message, "")
    if missing := _missing(what):
        return PayloadRefused(join(where, missing["name"]), "is required")
    if length := _wrong_length(what):
        return PayloadRefused(where or "body", _length_reason(length["kind"], length["sign"], length["limit"]))
    if kind := _wrong_type(what):
        wanted = " or ".join(_words(kind["wanted"]))
        return PayloadRefused(where or "body", f"must be {wanted}, not {' or '.join(_words(kind['sent']))}")
    return PayloadRefused(where or "body", f"can't be read: {what}")


def _length_reason(kind: str, sign: str, limit: str) -> str:
    if kind == "str":
        return f"must be at most {limit} characters long" if sign == "<" else "must not be empty"
    return f"must contain at most {limit} events; split the batch" if sign == "<" else "must contain at least one event"


def _words(types: str) -> list[str]:
    return list(dict.fromkeys(WORDS.get(name, name) for name in types.split(" | ")))


def _load(text: str, path: str) -> Any:
    try:
        return _read(text)
    except json.JSONDecodeError as error:
        reason = f"is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise PayloadRefused(path, reason) from error
    except _NoSuchConstant as error:
        raise PayloadRefused(path, f"is not valid JSON: {error} is not a JSON value") from error
    except RecursionError as error:
        raise PayloadRefused(path, f"must not be nested deeper than {DEEPEST} levels") from error


def _check(value: Any, path: str, depth: int) -> None:
    if isinstance(value, _Number):
        _check_number(value, path)
    elif isinstance(value, str):
        if len(value) > LONGEST_STRING:
            raise PayloadRefused(path, f"must be at most {LONGEST_STRING} characters long")
        check_text(value, path)
    elif isinstance(value, list):
        _check_container(value, path, depth)


def _check_container(value: list[Any], path: str, depth: int) -> None:
    if depth > DEEPEST:
        raise PayloadRefused(path, f"must not be nested deeper than {DEEPEST} levels")
    if isinstance(value, _Object):
        _check_keys(value, path)
        for key, inner in value:
            _check(inner, join(path, key), depth + 1)
    else:
        for index, inner in enumerate(value):
            _check(inner, f"{path}[{index}]", depth + 1)


def _check_keys(pairs: _Object, path: str) -> None:
    seen = set()
    for key, _ in pairs:
        if len(key) > LONGEST_KEY:
            raise PayloadRefused(join(path, key), f"has a name longer than {LONGEST_KEY} characters")
        check_text(key, path or "body")
        if key in seen:
            raise PayloadRefused(join(path, key), "is there twice")
        seen.add(key)


def _check_number(text: str, path: str) -> None:
    """Accept numbers that `numeric` stores exactly. Huge exponents are refused before the number is built."""
    exponent = _exponent(text)
    if exponent and len(exponent[1]) > len(str(MOST_DECIMALS)):
        raise PayloadRefused(path, OUT_OF_RANGE)
    if len(text) > LONGEST_NUMBER or len(Decimal(text).as_tuple().digits) > MOST_DIGITS:
        raise PayloadRefused(path, f"must have at most {MOST_DIGITS} digits")
    number = Decimal(text)
    if number and (number.adjusted() > LARGEST_EXPONENT or int(number.as_tuple().exponent) < -MOST_DECIMALS):
        raise PayloadRefused(path, OUT_OF_RANGE)


def join(path: str, key: str) -> str:
    """Add a key to a path. Long keys are cut and special characters escaped, because the path is printed and logged."""
    name = key[:80].encode("unicode_escape").decode()
    return f"{path}.{name}" if path else name


def _word_for(value: Any) -> str:
    if isinstance(value, _Number):
        return "a number"
    names = {str: "a string", bool: "true or false", list: "an array", type(None): "null"}
    return names.get(type(value), "that")
