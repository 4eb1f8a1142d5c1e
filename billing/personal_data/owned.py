"""The rows that belong to a customer, of all tables, and the reports of the system about them."""

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import chain
from operator import or_
from typing import Any

from django.apps import apps
from django.db.models import Q, QuerySet

from billing.kinds import ProofSubject
from billing.models import ProofDifference, ProofRun
from config.alarms.models import Alarm
from config.approvals.models import Approval
from config.personal_data.tables import ABOUT, TABLES, PersonalTable
from customers.models import Customer

# The tables of the objects that proofs name, besides customers.
PROVEN = {
    ProofSubject.INVOICE: "billing.invoice",
    ProofSubject.LINE: "billing.invoiceline",
    ProofSubject.WALLET: "billing.wallet",
    ProofSubject.GRANT: "billing.creditgrant",
    ProofSubject.ENTRY: "billing.walletentry",
    ProofSubject.CREDIT_NOTE: "billing.creditnote",
}
NAMED_BY_CUSTOMER = (ProofSubject.CUSTOMER, ProofSubject.USAGE)


def rows_of(table: PersonalTable, customer_id: int) -> QuerySet[Any]:
    """Select the rows of a table that belong to the customer."""
    ways = (Q(**{path or "pk": customer_id}) for path in table.paths)
    rows: QuerySet[Any] = apps.get_model(table.label)._base_manager.filter(reduce(or_, ways)).order_by("pk")
    return rows


def labels_of(customer: Customer) -> Iterable[str]:
    """Yield the names of the customer's rows in `Approval.about`."""
    for label in ABOUT:
        yield from (f"{label}:{pk}" for pk in _labeled(label, customer).values_list("pk", flat=True))


def approvals_about(customer: Customer) -> QuerySet[Approval]:
    """Select the requests for approval about the customer's objects."""
    return Approval.objects.filter(about__overlap=list(labels_of(customer))).order_by("pk")


def runs_about(customer: Customer) -> QuerySet[ProofRun]:
    """Select the proofs of only this customer, or of one invoice of the customer."""
    return ProofRun.objects.filter(Q(customer=customer) | Q(invoice__customer=customer))


def differences_about(customer: Customer) -> QuerySet[ProofDifference]:
    """Select the figures that differed in proofs, of the customer's objects."""
    ways = [Q(subject__in=NAMED_BY_CUSTOMER, subject_id=customer.pk)]
    for subject, label in PROVEN.items():
        ways.append(Q(subject=subject, subject_id__in=_labeled(label, customer).order_by().values("pk")))
    return ProofDifference.objects.filter(reduce(or_, ways))


def alarms_about(customer: Customer) -> QuerySet[Alarm]:
    """Select the alarms that link to such a proof, or that have the customer's ID in their message."""
    differing = differences_about(customer).order_by().values("result__run")
    runs = (runs_about(customer) | ProofRun.objects.filter(pk__in=differing)).order_by()
    urls = [run.get_absolute_url() for run in runs]
    return Alarm.objects.filter(Q(url__in=urls) | Q(message__contains=customer.public_id))


def public_ids_of(customer: Customer) -> set[str]:
    """Return the public ids of the customer and of all objects that belong to the customer, as messages name them."""
    return set(chain.from_iterable(_public_ids(customer)))


def _public_ids(customer: Customer) -> Iterator[Iterable[str]]:
    for label in {table.label: table for table in TABLES if table.paths}:
        if any(field.name == "public_id" for field in apps.get_model(label)._meta.fields):
            yield _labeled(label, customer).values_list("public_id", flat=True)
    yield approvals_about(customer).values_list("public_id", flat=True)
    yield alarms_about(customer).values_list("public_id", flat=True)


def _labeled(label: str, customer: Customer) -> QuerySet[Any]:
    return rows_of(next(table for table in TABLES if table.label == label), customer.pk)
