"""What somebody probably meant: the known name that differs from the sent one only in case, marks or one typo."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

MARKS = str.maketrans("", "", "._-/: \t")
LONG = 8  # from this length on a second typo is still a typo


class Difference(IntEnum):
    """How two names differ; the smaller, the likelier that one was meant."""

    CASE = 1
    MARKS = 2
    TYPO = 3


@dataclass(frozen=True, slots=True, order=True)
class NearMiss:
    """A known name that is nearly the sent one. `edits` is how many characters differ, for a typo."""

    difference: Difference
    edits: int
    name: str

    @property
    def how(self) -> str:
        """Say how it differs, as the end of a sentence: "differs only in capitals"."""
        if self.difference == Difference.CASE:
            return "differs only in capitals"
        if self.difference == Difference.MARKS:
            return "differs only in dots, dashes, blanks or capitals"
        return f"differs in {'one character' if self.edits == 1 else f'{self.edits} characters'}"


def nearest(sent: str, known: Iterable[str]) -> NearMiss | None:
    """Find the known name that was probably meant. The sent name itself is no near miss; equal ones go by alphabet."""
    return min((found for name in known if (found := compare(sent, name))), default=None)


def compare(sent: str, name: str) -> NearMiss | None:
    """Tell how a name nearly matches, if it does: in case, in marks, or by a typo (two from eight characters on)."""
    if sent == name or not sent or not name:
        return None
    folded, other = sent.strip().casefold(), name.strip().casefold()
    if folded == other:
        return NearMiss(Difference.CASE, 0, name)
    bare = folded.translate(MARKS)
    if bare and bare == other.translate(MARKS):
        return NearMiss(Difference.MARKS, 0, name)
    allowed = 0 if min(len(folded), len(other)) < 3 else 2 if max(len(folded), len(other)) >= LONG else 1
    edits = distance(folded, other, allowed)
    return NearMiss(Difference.TYPO, edits, name) if edits <= allowed else None


def distance(left: str, right: str, limit: int) -> int:
    """Count the edits between two texts: insert, delete, replace, or swap neighbours. Above `limit`: `limit` + 1.

    Names that differ only in digits at the same place are told apart by people on purpose (customer-12, customer-13):
    a replaced digit counts as more than the limit.
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    previous = list(range(len(right) + 1))
    for row, one in enumerate(left, start=1):
        current = [row] + [0] * len(right)
        for column, other in enumerate(right, start=1):
            replaced = limit + 1 if one.isdigit() and other.isdigit() else 1
            current[column] = min(
                previous[column] + _weight(one, limit),
                current[column - 1] + _weight(other, limit),
                previous[column - 1] + (0 if one == other else replaced),
            )
            swapped = row > 1 and column > 1 and one == right[column - 2] and other == left[row - 2]
            if swapped and not (one.isdigit() and other.isdigit()):
                current[column] = min(current[column], before[column - 2] + 1)
        before, previous = previous, current
        if min(current) > limit:
            return limit + 1
    return min(previous[-1], limit + 1)


def _weight(character: str, limit: int) -> int:
    """Give the cost of a character too many or too few: a digit makes another id of it, so it is no typo."""
    return limit + 1 if character.isdigit() else 1


def one_edit_patterns(sent: str) -> list[str]:
    """Write the LIKE patterns of every text that is one edit away: replace, insert, leave out, swap neighbours."""
    places = range(len(sent))
    found = {_like(sent[:at], sent[at + 1 :]) for at in places}
    found |= {_like(sent[:at], sent[at:]) for at in range(len(sent) + 1)}
    found |= {_escaped(sent[:at] + sent[at + 1 :]) for at in places}
    found |= {_escaped(sent[:at] + sent[at + 1] + sent[at] + sent[at + 2 :]) for at in range(len(sent) - 1)}
    return sorted(found)


def _like(before: str, after: str) -> str:
    return f"{_escaped(before)}_{_escaped(after)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
