"""The state of the change log's chain, for the admin and the API."""

from dataclasses import dataclass

from django.conf import settings

from config.change_log.models import ChangeLogCheck, ChangeLogCopy, ChangeSeal


@dataclass(frozen=True, slots=True)
class ChangeLogStatus:
    """How many entries are chained, the last hash, the latest verification, and the copy in another system, if any."""

    entries: int
    last_hash: str
    check: ChangeLogCheck | None
    copy: ChangeLogCopy | None

    @property
    def is_intact(self) -> bool | None:
        """Whether the latest verification found no problem; None before the first."""
        return None if self.check is None else not self.check.problem

    @property
    def to_copy(self) -> int:
        return max(0, self.entries - self.copy.number) if self.copy else 0


def read_status() -> ChangeLogStatus:
    """Read the state of the chain. Three queries."""
    last = ChangeSeal.objects.exclude(number=None).order_by("-number").first()
    target = settings.CHANGE_LOG_STREAM
    return ChangeLogStatus(
        entries=last.number or 0 if last else 0,
        last_hash=bytes(last.hash or b"").hex() if last else "",
        check=ChangeLogCheck.objects.select_related("started_by").last(),
        copy=ChangeLogCopy.objects.filter(pk=target).first() or ChangeLogCopy(target=target) if target else None,
    )
