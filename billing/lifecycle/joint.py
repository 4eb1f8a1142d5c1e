"""Joint invoices are finalized as one: all their sections or none, with one number and one due date."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime

from billing.invoicing.numbering import draw_numbers
from billing.models import Invoice, JointInvoice, SeriesUse
from billing.refusals import CannotChange


def lock_joint_invoices(drafts: Sequence[Invoice]) -> dict[int, JointInvoice]:
    """Lock the joint invoices of drafts that are finalized, by key, so that no draft joins them any more.

    A draft that is the only section, or whose customer gets electronic invoices meanwhile, becomes an invoice of its
    own. Raises `CannotChange` if a section was added since the drafts were locked: the next try finds it.
    """
    keys = {draft.joint_id for draft in drafts if draft.joint_id is not None}
    if not keys:
        return {}
    rows = JointInvoice.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    joint_invoices = {joint.pk: joint for joint in rows}
    added = Invoice.objects.filter(joint__in=keys).exclude(pk__in=[draft.pk for draft in drafts]).first()
    if added is not None:
        raise CannotChange(f"{added} is another section now. Try again: all sections are finalized together.")
    for draft in drafts:
        if draft.customer.einvoice_format:
            draft.joint_id = None
    sections = Counter(draft.joint_id for draft in drafts)
    for draft in drafts:
        if sections[draft.joint_id] == 1:
            draft.joint_id = None
    return joint_invoices


def delete_unused(joint_invoices: Sequence[JointInvoice]) -> None:
    """Delete locked joint invoices that got no number, because they have fewer than two sections."""
    unused = [joint.pk for joint in joint_invoices if joint.number is None]
    if unused:
        JointInvoice.objects.filter(pk__in=unused).delete()


def assign_numbers(drafts: Sequence[Invoice], joint_invoices: dict[int, JointInvoice], *, now: datetime) -> None:
    """Draw numbers: one for each invoice, and one for all sections of a joint invoice. The caller saves the drafts.

    A joint invoice INV-000042 of two subscriptions has the sections INV-000042-1 and INV-000042-2, and their latest due
    date. It takes its number from the series of its first section.
    """
    documents: dict[object, list[Invoice]] = defaultdict(list)
    for draft in drafts:
        documents[("joint", draft.joint_id) if draft.joint_id else ("invoice", draft.pk)].append(draft)
    for sections in documents.values():
        sections.sort(key=lambda section: (section.subscription_id or 0, section.pk))
    numbers = draw_numbers(SeriesUse.INVOICE, [sections[0].series_id for sections in documents.values()])
    for sections, (series, number) in zip(documents.values(), numbers, strict=True):
        joint_id = sections[0].joint_id
        if joint_id is None:
            sections[0].series, sections[0].number = series, number
            continue
        joint = joint_invoices[joint_id]
        joint.series, joint.number, joint.finalized_at = series, number, now
        joint.save(update_fields=["series", "number", "finalized_at", "updated_at"])
        due_at = max(section.due_at for section in sections if section.due_at is not None)
        for position, section in enumerate(sections, start=1):
            section.series, section.number, section.due_at = None, f"{number}-{position}", due_at
