"""A company with a row in every table of the admin, and clients of all roles. Nothing of it is committed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client
from django.utils import timezone
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from billing.adjustments.coupons import archive_coupon
from billing.adjustments.tax_rates import set_archived
from billing.bank.importing import import_bank_file
from billing.emails.composing import about_invoice
from billing.emails.outbox import queue_email
from billing.emails.templates import save_template, template_of
from billing.lifecycle.void import void
from billing.models import (
    Email,
    EmailKind,
    EmailState,
    Invoice,
    InvoiceState,
    NumberSeries,
    PauseKind,
    ProofRun,
    Reminder,
    ReminderSchedule,
    SelfTest,
    SeriesUse,
    SurplusUse,
)
from billing.models.credit_notes import CreditReason
from billing.reminders.pausing import pause_reminders
from billing.reminders.schedules import ScheduleTerms, save_schedule
from billing.runs.dry_run import dry_run_chunk, start_dry_run
from billing.settlement.credit_notes import draft_credit_note, finalize_credit_note
from billing.settlement.payments import Receipt, record_payment
from billing.simulation.running import SimulationInputs, start_simulation
from catalog.features import map_event_name
from catalog.models import Price
from catalog.plans import archive_plan
from config.backups.models import Backup
from config.signin.models import SignInEvent, SignInKind
from config.webhooks.endpoints import send_test
from config.webhooks.models import WebhookEndpoint
from customers.accounts import archive_customer, map_external_id
from customers.kinds import TaxCategory
from customers.models import Customer, Subscription
from customers.subscriptions import CommitmentTerms, add_addon, agree_commitment, cancel, pause
from events.fixing.runs import start_run
from events.models import SealedPart, UsageCheck
from events.models.operations import MendingKind
from tests.billing.adjusting import make_coupon, make_tax
from tests.billing.invoices import make_draft, make_finalized
from tests.billing.late import make_late_adjustment
from tests.billing.simulations import simulate_to_end
from tests.demo_company import make_demo_company
from tests.events.senders import process, send
from tests.factories import make_addon, make_customer, make_plan, make_price, make_subscription, make_user
from tests.factories import make_draft as make_draft_version

ROLES = ("Viewer", "Operations", "Finance", "Owner")
NO_ROLE = "staff without a role"
STRANGER = "signed out"


@contextmanager
def uncommitted() -> Iterator[None]:
    """Roll back what is written inside the block. Tests inside of it have savepoints."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def make_world() -> None:
    """Make the company."""
    owner = make_user(username="ada", is_superuser=True)
    make_demo_company(by=owner)
    now = timezone.now()
    make_documents(owner)
    customer = Customer.objects.earliest("pk")
    map_external_id("an-alias", customer, by=owner, reason="Renamed")
    map_event_name("api.call", "api.calls", by=owner, reason="Renamed")
    make_late()
    make_archived(owner)
    make_logs(owner)
    make_emails(owner)
    make_reminders(owner)
    run = start_dry_run(as_of=now + timedelta(days=32), now=now, by=owner)
    for chunk in run.chunks.all():
        dry_run_chunk(chunk.pk, now=now)
    send_test(WebhookEndpoint.objects.earliest("pk"), now=now)


def make_archived(by: User) -> None:
    """Make rows that can be activated, resumed and withdrawn again, and drafts of what is sold."""
    terms: dict[str, Any] = {"now": timezone.now(), "by": by}
    archive_customer(make_customer(), **terms)
    archive_plan(make_plan(), **terms)
    archive_coupon(make_coupon(), **terms)
    set_archived(make_tax(of=make_customer()), at=timezone.now(), by=by)
    addon = make_addon({}).plan
    archive_plan(make_addon({}).plan, **terms)
    subscription = make_subscription()
    add_addon(subscription, addon, at=terms["now"], **terms)
    agree_commitment(
        subscription,
        CommitmentTerms(Decimal(100)),
        starts_at=subscription.started_at,
        reason="Because",
        **terms,
    )
    pause(subscription, at=timezone.now(), **terms)
    cancel(subscription, at=timezone.now() + timedelta(days=3), **terms)
    make_draft_version(addon)
    make_price(version=make_draft_version(make_plan()))
    NumberSeries.objects.create(name="Others", prefix="O-", used_for=SeriesUse.INVOICE)
    for event_id in ("first", "other"):
        send(event_id="reused", source=event_id)
        process()


def make_late() -> None:
    """Make late usage in each state that a decision needs."""
    price = Price.objects.filter(feature__isnull=False)[0]
    for subscription, state in zip(Subscription.objects.order_by("pk"), ("waiting", "held", "ignored"), strict=False):
        adjustment = make_late_adjustment(subscription, price)
        adjustment.state, adjustment.reason = state, "Because"
        adjustment.save()


def make_documents(by: User) -> None:
    """Make an invoice in each state, payments, one with a surplus, and credit notes."""
    customer, today = Customer.objects.earliest("pk"), timezone.now().date()
    # This customer gets electronic invoices, which need a reason for lines without tax.
    Customer.objects.filter(pk=customer.pk).update(untaxed_category=TaxCategory.EXEMPT)
    terms: dict[str, Any] = {"now": timezone.now(), "by": by}
    make_draft("25", customer=customer)
    partly, paid, voided, credited = (make_finalized(amount, customer=customer) for amount in ("30", "40", "50", "60"))
    record_payment(partly, Receipt(Decimal(10), today), **terms)
    record_payment(paid, Receipt(Decimal(55), today, surplus_to=SurplusUse.UNAPPLIED), **terms)
    columns = {"date": "Date", "amount": "Amount", "default_currency": "USD"}
    import_bank_file(b"Date,Amount\n2026-03-02,9.00\n", "march.csv", columns=columns, **terms)
    void(voided, reason="Wrong", **terms)
    for invoice, is_final in ((credited, False), (credited, True), (paid, True)):
        lines = {invoice.lines.get().pk: Decimal(5)}
        note = draft_credit_note(invoice, lines, reason=CreditReason.BILLING_ERROR, by=by)
        if is_final:
            finalize_credit_note(note, **terms)


def make_emails(by: User) -> None:
    """Make an email of an invoice in each state, and a template that staff changed."""
    invoice = Invoice.objects.filter(state=InvoiceState.PAID).earliest("pk")
    for state in EmailState.values:
        email = queue_email(about_invoice(invoice), to=["anna@example.com"], now=timezone.now(), by=by)
        if state != EmailState.PENDING:
            Email.objects.filter(pk=email.pk).update(state=state, next_try_at=None)
    queue_email(about_invoice(invoice), to=["anna@example.com"], now=timezone.now(), by=by)
    save_template(template_of(EmailKind.INVOICE), by=by)


def make_reminders(by: User) -> None:
    """Make a schedule that isn't the default, a reminder with a task, and a pause."""
    save_schedule(ReminderSchedule(name="Slow payers"), ScheduleTerms(), by=by)
    invoice = Invoice.objects.to_pay().earliest("pk")
    Reminder.objects.create(
        invoice=invoice, days=90, taken_on=timezone.now().date(), amount=Decimal(5), needs_person=True
    )
    pause_reminders(invoice.customer, kind=PauseKind.OTHER, reason="Merger", now=timezone.now(), by=by)


def make_logs(by: User) -> None:
    now = timezone.now()
    SignInEvent.objects.create(kind=SignInKind.FAILED, username="ada")
    once = ClockedSchedule.objects.create(clocked_time=now)
    PeriodicTask.objects.create(name="Our own", task="our.task", clocked=once, one_off=True, enabled=False)
    UsageCheck.objects.create(started_at=now)
    SealedPart.objects.create(name="events-1", is_late=False, first_event=1, last_event=2, planned_at=now)
    Backup.objects.create(started_at=now, finished_at=now, problem="The disk is full.")
    ProofRun.objects.create(started_at=now, finished_at=now)
    SelfTest.objects.create(started_at=now, finished_at=now)
    simulate_to_end(start_simulation(SimulationInputs(), now=now, by=by), now=now)
    start_simulation(SimulationInputs(), now=now, by=by)
    start_run(MendingKind.REPLAY, "replay_cause", {"cause": "not_a_number"}, title="Replay", now=now, by=by)
    send(event_id="waits in the inbox")


def client_of(role: str) -> Client:
    """Sign in a colleague with a role."""
    client = Client(raise_request_exception=False)
    if role != STRANGER:
        user = make_user(username=role.lower())
        if role != NO_ROLE:
            user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
    return client
