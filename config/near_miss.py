"""Suggest the name that was probably meant: a known name that differs only in encoding, case, punctuation or a typo.

Names are compared in Unicode's composed form (NFC): "é" is one character or an "e" with an accent, and looks the same.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

MARKS = str.maketrans("", "", "._-/: \t")
TWO_TYPOS_FROM = 8  # characters: longer names may have two typos


class Difference(IntEnum):
    """How two names differ, the most likely mistake first."""

    ENCODING = 0
    CASE = 1
    MARKS = 2
    TYPO = 3


@dataclass(frozen=True, slots=True, order=True)
class NearMiss:
    """A known name that is similar to the sent name. `edits` is the number of wrong characters of a typo."""

    difference: Difference
    edits: int
    name: str

    @property
    def how(self) -> str:
        """Describe the difference, as the end of a sentence."""
        if self.difference == Difference.ENCODING:
            return "looks the same, but encodes its accented letters differently (Unicode NFC and NFD)"
        if self.difference == Difference.CASE:
            return "differs only in upper and lower case"
        if self.difference == Difference.MARKS:
            return "differs only in dots, dashes, spaces or case"
        return f"differs in {'one character' if self.edits == 1 else f'{self.edits} characters'}"


def nearest(sent: str, known: Iterable[str]) -> NearMiss | None:
    """Find the known name that was probably meant. Of equally likely names, return the first in alphabetical order."""
    return min((miss for name in known if (miss := compare(sent, name))), default=None)


def compare(sent: str, name: str) -> NearMiss | None:
    """Compare two names: None if they are equal or too different. From eight characters, two typos are allowed."""
    if sent == name or not sent or not name:
        return None
    composed, known = compose(sent.strip()), compose(name.strip())
    if composed == known and sent.strip() != name.strip():
        return NearMiss(Difference.ENCODING, 0, name)
    folded, other = composed.casefold(), known.casefold()
    if folded == other:
        return NearMiss(Difference.CASE, 0, name)
    letters = folded.translate(MARKS)
    if letters and letters == other.translate(MARKS):
        return NearMiss(Difference.MARKS, 0, name)
    allowed = 0 if min(len(folded), len(other)) < 3 else 2 if max(len(folded), len(other)) >= TWO_TYPOS_FROM else 1
    edits = distance(folded, other, allowed)
    return NearMiss(Difference.TYPO, edits, name) if edits <= allowed else None


def compose(text: str) -> str:
    """Return the text in Unicode's composed form, in which texts that look the same are equal."""
    return unicodedata.normalize("NFC", text)


def distance(left: str, right: str, limit: int) -> int:
    """Count the edits between two texts: insert, delete, replace, or swap neighbors. Above `limit`: `limit` + 1.

    A wrong digit is not a typo, because people number things on purpose (customer-12, customer-13): it counts as more
    than the limit.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, char in enumerate(left, start=1):
        current = [row] + [0] * len(right)
        for column, other in enumerate(right, start=1):
            replaced = limit + 1 if char.isdigit() and other.isdigit() else 1
            current[column] = min(
                previous[column] + _weight(char, limit),
                current[column - 1] + _weight(other, limit),
                previous[column - 1] + (0 if char == other else replaced),
            )
            swapped = row > 1 and column > 1 and char == right[column - 2] and other == left[row - 2]
            if swapped and not (char.isdigit() and other.isdigit()):
                current[column] = min(current[column], before[column - 2] + 1)
        before, previous = previous, current
        if min(current) > limit:
            return limit + 1
    return min(previous[-1], limit + 1)


def _weight(character: str, limit: int) -> int:
    """Return the cost of an extra or missing character."""
    return limit + 1 if character.isdigit() else 1


def one_edit_patterns(sent: str) -> list[str]:
    """List LIKE patterns of every text that is one edit away: replace, insert, delete, swap neighbors."""
    places = range(len(sent))
    patterns = {_like(sent[:at], sent[at + 1 :]) for at in places}
    patterns |= {_like(sent[:at], sent[at:]) for at in range(len(sent) + 1)}
    patterns |= {_escaped(sent[:at] + sent[at + 1 :]) for at in places}
    patterns |= {_escaped(sent[:at] + sent[at + 1] + sent[at] + sent[at + 2 :]) for at in range(len(sent) - 1)}
    return sorted(patterns)


def _like(before: str, after: str) -> str:
    return f"{_escaped(before)}_{_escaped(after)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
