"""What a proof found: how much it checked, and each difference with the object that it is about."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from billing.kinds import ProofSubject


@dataclass(frozen=True, slots=True)
class Found:
    """A figure that differs: as it is stored, and as it was calculated again. `name` is the object's, for people."""

    subject: ProofSubject
    subject_id: int
    name: str
    figure: str
    stated: str
    calculated: str


@dataclass(slots=True)
class Findings:
    """The result of a part of a proof.

    What is `waiting` couldn't be checked: late usage is pending, or retention has removed the events.
    """

    checked: int = 0
    waiting: int = 0
    differing: int = 0
    found: list[Found] = field(default_factory=list)

    @property
    def proved(self) -> int:
        return self.checked - self.waiting - self.differing

    def add(self, found: Iterable[Found], *, checked: int = 1) -> None:
        """Add checked objects, and what was found about one of them."""
        differences = list(found)
        self.checked += checked
        self.differing += bool(differences)
        self.found += differences

    def join(self, other: "Findings") -> None:
        """Add what another proof found."""
        self.checked += other.checked
        self.waiting += other.waiting
        self.differing += other.differing
        self.found += other.found


def not_proved(subject: ProofSubject, subject_id: int, name: str, reason: str) -> Found:
    """Describe an object that couldn't be proved because the proof itself failed."""
    return Found(subject, subject_id, name[:255], "Not proved", "", reason[:255])
