"""The step about the customer: who the external customer id belongs to, or who was probably meant."""

from config.office.links import page_of
from customers.models import Customer, CustomerState
from events import wording
from events.diagnosis.context import Context
from events.diagnosis.steps import DiagnosisStep, Evidence, Fix, Status, StepKey
from events.diagnosis.stored import replay_fix, stored_problem
from events.reasons import Reason


def customer_step(context: Context) -> DiagnosisStep:
    """Report whose external id was sent, or who was probably meant."""
    match, subject = context.customer, context.subject
    customer = match.customer
    if customer is None:
        return _unknown_customer(context)
    sent = wording.quoted(subject.external_customer_id)
    evidence = [_customer_evidence(customer), Evidence("Sent", subject.external_customer_id, is_code=True)]
    if match.alias:
        reason = f", {match.alias.reason}" if match.alias.reason else ""
        evidence.append(Evidence("Mapped", f"{match.alias}{reason}"))
    if customer.archived_at is not None and customer.archived_at <= subject.received_at:
        evidence.append(Evidence("Archived", wording.timestamp(customer.archived_at)))
        sentence = f"{customer.name} was already archived when the event arrived."
        fix = Fix("Activate the customer", action="activate_customer", parameters={"customer": str(customer.pk)})
        return DiagnosisStep(StepKey.CUSTOMER, Status.FAIL, sentence, Reason.CUSTOMER_ARCHIVED, evidence, fixes=[fix])
    if stored := stored_problem(context, None, Reason.UNKNOWN_CUSTOMER, Reason.CUSTOMER_ARCHIVED):
        reason = stored.get_reason_display().lower()
        sentence = f"Not counted when the event was processed ({reason}); today {sent} is {customer.name}."
        return DiagnosisStep(StepKey.CUSTOMER, Status.WARNING, sentence, evidence=evidence, fixes=[replay_fix(context)])
    sentence = f"{sent} is {'mapped to ' if match.alias else ''}{customer.name}."
    if customer.state == CustomerState.ARCHIVED:
        sentence = f"{sentence} The customer is archived today."
        return DiagnosisStep(StepKey.CUSTOMER, Status.WARNING, sentence, evidence=evidence)
    return DiagnosisStep(StepKey.CUSTOMER, Status.PASS, sentence, evidence=evidence)


def _unknown_customer(context: Context) -> DiagnosisStep:
    sent, match = context.subject.external_customer_id, context.customer
    evidence = [Evidence("Sent", sent, is_code=True)]
    create = Fix(
        f"Create the customer {wording.quoted(sent)}",
        action="create_customer",
        parameters={"external_id": sent, "name": sent},
    )
    if match.near is None or match.suspected is None:
        sentence = f"No customer has the external customer ID {wording.quoted(sent)} or a similar one."
        return DiagnosisStep(StepKey.CUSTOMER, Status.FAIL, sentence, Reason.UNKNOWN_CUSTOMER, evidence, fixes=[create])
    similar = match.suspected
    evidence.append(_customer_evidence(similar, "Probably meant"))
    sentence = (
        f"No customer has the external customer ID {wording.quoted(sent)}; {wording.quoted(similar.external_id)} "
        f"({similar.name}) {match.near.how}. The steps below assume that {similar.name} was meant."
    )
    mapping = Fix(
        f"Count {wording.quoted(sent)} for {similar.name}",
        action="map_customer",
        parameters={"alias": sent, "customer": str(similar.pk)},
    )
    return DiagnosisStep(
        StepKey.CUSTOMER, Status.FAIL, sentence, Reason.UNKNOWN_CUSTOMER, evidence, fixes=[mapping, create]
    )


def _customer_evidence(customer: Customer, label: str = "Customer") -> Evidence:
    return Evidence(label, f"{customer.name} ({customer.external_id})", page_of(customer))
