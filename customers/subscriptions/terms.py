"""Agree terms with a subscription that differ from its plan's: prices, quantities, free units. Why: decision 221."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from catalog.agreed import TermsEdit, agree
from catalog.agreed.content import Content, read_content
from catalog.agreed.storing import read_edits, write_edits
from catalog.models import PlanVersion
from config.approvals.gate import Action, find_needed_approval, require_approval, without_approval
from config.approvals.kinds import ApprovalKind, Operation
from config.webhooks.names import WebhookEvent
from config.webhooks.outbox import emit
from customers.kinds import ChangeInvoicing
from customers.models import Subscription
from customers.signals import invoice_change
from customers.subscriptions.chain import Chain, PhaseSpan, join_spans, split_span
from customers.subscriptions.locking import find_span, lock_subscription
from customers.subscriptions.phases import read_chain, write_chain
from customers.subscriptions.refusals import EndsBeforeStart, TermsNeedApproval


def agree_terms(
    subscription: Subscription,
    edits: Sequence[TermsEdit],
    *,
    at: datetime,
    until: datetime | None = None,
    now: datetime,
    by: User | None,
    reason: str = "",
    invoicing: ChangeInvoicing = ChangeInvoicing.NEXT_INVOICE,
) -> Subscription:
    """Change the subscription's terms from a moment on, until `until`: now, later, or earlier with a reason.

    A scheduled change of the same price or free tier stays, and so does what follows it. A change of plan ends agreed
    terms. `invoicing` is when the difference of the fees in advance is invoiced, if there is something to pay.

    Raises NotInTerms, QuantityNotAllowed, NotYetStarted, SubscriptionEnded, EndsBeforeStart, ValidationError for
    prices that can't be published, and ApprovalNeeded where publishing prices needs approval.
    """
    with lock_subscription(subscription, by=by) as locked:
        chain = read_chain(locked)
        find_span(locked, chain, at)
        if until is not None and until <= at:
            raise EndsBeforeStart("The agreed terms end before they start.")
        changed = _TermsChange(locked, edits, now, by, reason).change(chain, at, until)
        if any(edit.changes_prices for edit in edits):
            require_approval(_describe(locked, edits, at, until, reason, invoicing), by=by)
        if write_chain(locked, changed, now=now, by=by, reason=reason):
            emit(WebhookEvent.SUBSCRIPTION_UPDATED, "subscription", [locked.pk], at=now)
            if invoicing == ChangeInvoicing.IMMEDIATE:
                invoice_change(locked, at=at, now=now)
    return subscription


@dataclass(frozen=True, slots=True)
class TermsPhase:
    """Terms that apply from a moment on, until another one."""

    edits: Sequence[TermsEdit]
    at: datetime
    until: datetime | None = None

    def write(self) -> dict[str, Any]:
        """Write the phase as JSON."""
        until = self.until.isoformat() if self.until else None
        return {"edits": write_edits(self.edits), "at": self.at.isoformat(), "until": until}

    @classmethod
    def read(cls, data: dict[str, Any]) -> "TermsPhase":
        """Read what `write` wrote."""
        until = datetime.fromisoformat(data["until"]) if data["until"] else None
        return cls(read_edits(data["edits"]), datetime.fromisoformat(data["at"]), until)


def agree_phases(
    subscription: Subscription, phases: Sequence[TermsPhase], *, now: datetime, by: User | None, reason: str = ""
) -> Subscription:
    """Agree several changes of terms at once, all or none, with one approval. The order doesn't matter.

    Raises what `agree_terms` raises.
    """
    with lock_subscription(subscription, by=by) as locked:
        with without_approval():
            for phase in sorted(phases, key=lambda phase: phase.at):
                agree_terms(locked, phase.edits, at=phase.at, until=phase.until, now=now, by=by, reason=reason)
        if any(edit.changes_prices for phase in phases for edit in phase.edits):
            require_approval(
                Action(
                    Operation.AGREE_PHASES,
                    [ApprovalKind.PRICES],
                    [locked],
                    {"phases": [phase.write() for phase in phases], "reason": reason},
                    title=f"Agree phases with {locked}",
                    effect=f"{len(phases)} changes of its plan's terms, each from a date on.",
                ),
                by=by,
            )
    return subscription


def agree_at_start(
    subscription: Subscription,
    version: PlanVersion,
    edits: Sequence[TermsEdit],
    *,
    now: datetime,
    by: User | None,
    reason: str,
) -> PlanVersion:
    """Return the version that a new subscription starts on: the plan's, or its own with the edits.

    Raises what `agree_terms` raises, but TermsNeedApproval instead of ApprovalNeeded.
    """
    if not edits:
        return version
    check_approval_at_start(subscription, edits, by=by)
    changes = {edit.key for edit in edits}
    return agree(version, edits, agreed_for=subscription.public_id, changes=changes, now=now, by=by, reason=reason)


def check_approval_at_start(subscription: Subscription, edits: Sequence[TermsEdit], *, by: User | None) -> None:
    """Refuse terms that need approval, for a subscription that isn't committed yet. Raises TermsNeedApproval."""
    if not any(edit.changes_prices for edit in edits):
        return
    action = _describe(subscription, edits, subscription.started_at, None, "", ChangeInvoicing.IMMEDIATE)
    if find_needed_approval(action, by=by) is not None:
        raise TermsNeedApproval("Agreed prices need approval. Create the subscription without them, then request them.")


def _describe(
    subscription: Subscription,
    edits: Sequence[TermsEdit],
    at: datetime,
    until: datetime | None,
    reason: str,
    invoicing: ChangeInvoicing,
) -> Action:
    return Action(
        Operation.AGREE_TERMS,
        [ApprovalKind.PRICES],
        [subscription],
        {
            "edits": write_edits(edits),
            "at": at.isoformat(),
            "until": until.isoformat() if until else None,
            "invoicing": invoicing.value,
            "reason": reason,
        },
        title=f"Agree terms with {subscription}",
        effect=f"{len(edits)} changes of its plan's terms apply from {at:%Y-%m-%d %H:%M} UTC on.",
    )


class _TermsChange:
    """Makes the versions that a change of terms needs: one for each version that the changed time has."""

    def __init__(
        self, subscription: Subscription, edits: Sequence[TermsEdit], now: datetime, by: User | None, reason: str
    ) -> None:
        self._subscription, self._edits = subscription, edits
        self._now, self._by, self._reason = now, by, reason
        self._contents: dict[int, Content] = {}
        self._made: dict[tuple[int, tuple[str, ...]], int] = {}

    def change(self, chain: Chain, at: datetime, until: datetime | None) -> Chain:
        ids = {span.version_id for span in chain}
        self._versions = PlanVersion.with_agreed.select_related("plan", "base").in_bulk(ids)
        starts = {span.starts_at for span in chain}
        changed: Chain = []
        edits, before = list(self._edits), None
        for span in split_span(split_span(chain, at), until):
            if span.starts_at >= at and (until is None or span.starts_at < until):
                if before is not None and span.starts_at > at:
                    edits = [edit for edit in edits if not self._ends(edit, before, span)]
                is_new = span.starts_at == at and at not in starts
                changed.append(replace(span, version_id=self._agree(span, edits, is_new=is_new)))
            else:
                changed.append(span)
            before = span
        return join_spans(changed)

    def _ends(self, edit: TermsEdit, before: PhaseSpan, span: PhaseSpan) -> bool:
        """Return whether a change that is scheduled already takes an edit's place: of the plan, or of the same key."""
        if span.version_id == before.version_id:
            return False
        old, new = self._content(before.version_id), self._content(span.version_id)
        changes = self._versions[span.version_id].changes
        return old.base != new.base or edit.key in changes or old.state(edit.key) != new.state(edit.key)

    def _content(self, version_id: int) -> Content:
        if version_id not in self._contents:
            self._contents[version_id] = read_content(self._versions[version_id])
        return self._contents[version_id]

    def _agree(self, span: PhaseSpan, edits: Sequence[TermsEdit], *, is_new: bool) -> int:
        """Return the version of a span with the edits; `is_new` means that the span starts with this change."""
        if not edits:
            return span.version_id
        keys = tuple(edit.key for edit in edits)
        if (span.version_id, keys) not in self._made:
            version = self._versions[span.version_id]
            is_first = not self._made
            agreed = agree(
                version,
                edits,
                agreed_for=self._subscription.public_id,
                changes=[*(() if is_new else version.changes), *(keys if is_first else ())],
                now=self._now,
                by=self._by,
                reason=self._reason,
            )
            self._made[span.version_id, keys] = agreed.pk
        return self._made[span.version_id, keys]
