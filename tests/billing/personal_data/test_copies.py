"""Copies in stored responses, refused requests, alarms and proofs belong to a customer by ids, never by a name."""

import json

import pytest

from billing.kinds import ProofKind, ProofSubject
from billing.models import ProofDifference, ProofResult, ProofRun
from billing.personal_data.copies import ERASED_ANSWER
from billing.settlement.top_ups import grant_to_customer
from billing.settlement.wallets import debit_wallet
from config.alarms.kinds import list_kinds
from config.alarms.models import Alarm
from config.api.models import KeptAnswer
from customers.accounts import map_external_id, save_customer
from events.models import RefusedRequest
from tests.billing.personal_data.anna import MARCH, erase
from tests.billing.world import D
from tests.factories import make_customer

pytestmark = pytest.mark.django_db


def make_ann(**values):
    return make_customer(**{"name": "Ann", "email": "ann@example.com", "external_id": "c-1"} | values)


def answer(body, key="k"):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return KeptAnswer.objects.create(caller_id=1, key=key, fingerprint="f", status=200, body=text)


def is_erased(row):
    row.refresh_from_db()
    return bytes(row.body) == ERASED_ANSWER


def refusal(path="/v1/invoices", message="Refused."):
    row = {"minute": MARCH, "last_at": MARCH, "status": 400, "reason": "bad_request", "key_prefix": "sk_1"}
    return RefusedRequest.objects.create(path=path, message=message, **row)


def make_run(customer=None, name="", scope="-"):
    """Make a proof with a result, and a difference about the customer."""
    run = ProofRun.objects.create(started_at=MARCH, customer=customer)
    result = ProofResult.objects.create(run=run, kind=ProofKind.WALLETS, scope=scope)
    if customer is not None:
        about = {"subject": ProofSubject.CUSTOMER, "subject_id": customer.pk}
        ProofDifference.objects.create(result=result, name=name, figure="Balance", **about)
    return run


def alarm(message, run, about=""):
    times = {"opened_at": MARCH, "seen_at": MARCH}
    kind = list_kinds()[0][0]
    return Alarm.objects.create(
        kind=kind, message=message, about=about, what_to_do="-", url=run.get_absolute_url(), **times
    )


@pytest.mark.parametrize("word", ["status", "draft", "USD", "Ben Smith"])
def test_stored_responses_about_others_stay_whatever_the_customer_is_called(word):
    attacker = make_ann(name=word, external_id=word)
    other = answer({"id": "inv_1", "status": "draft", "currency": "USD", "customer": {"name": "Ben Smith"}})
    erase(attacker)
    assert not is_erased(other)


def test_stored_responses_about_the_customer_and_the_customers_objects_are_erased():
    ann = make_ann()
    grant_to_customer(ann, "USD", D(5), kind="promotional", reason="Gift", now=MARCH, by=None)
    wallet = ann.wallets.get()
    debit_wallet(wallet, D(5), reason="Revoked", now=MARCH, by=None)
    rows = [
        answer({"id": wallet.public_id, "description": "Dear Ann"}, key="object"),
        answer({"customer": {"id": ann.public_id, "name": "Ann"}}, key="customer"),
        answer({"problem": {"external_customer_id": "c-1"}}, key="external"),
        answer(b"not JSON " + json.dumps(ann.public_id).encode(), key="text"),
    ]
    erase(ann)
    assert [is_erased(row) for row in rows] == [True] * 4


def test_a_customer_called_api_key_deletes_no_refusals_of_others():
    attacker = make_ann(name="API key", external_id="key", email="key@example.com")
    refusal(message="Enter the name of the API.")
    refusal("/v1/invoices/key", "Requires an API key with the scope `read`.")
    erase(attacker)
    assert RefusedRequest.objects.count() == 2


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/customers/{id}/archive", "Refused."),
        ("/v1/customers/external/c-1", "Refused."),
        ("/v1/subscriptions", "There is no active customer “c-1”."),
        ("/v1/subscriptions", "{id} isn't active."),
        ("/v1/aliases", "c-1 is the external id of Ann, who would no longer receive these events."),
    ],
)
def test_refused_requests_that_have_an_id_of_the_customer_are_deleted(path, message):
    ann = make_ann()
    refusal(path.format(id=ann.public_id), message.format(id=ann.public_id))
    erase(ann)
    assert not RefusedRequest.objects.exists()


@pytest.mark.parametrize(
    ("path", "message"),
    [("/v1/invoices/c-1", "Refused."), ("/v1/plans", "Ann isn't a plan."), ("/v1/plans", "c-1 isn't a plan of Anna.")],
)
def test_refused_requests_that_only_have_a_word_of_the_customer_stay(path, message):
    ann = make_ann()
    refusal(path, message)
    erase(ann)
    assert RefusedRequest.objects.exists()


def test_alarms_and_proofs_of_the_customer_are_kept_without_the_name():
    ann = make_ann()
    run = make_run(ann, name="Ann, Anna and ann@example.com", scope="Wallets: Ann")
    alarm("A proof of Ann (not Anna) differs.", run)
    erase(ann)
    assert Alarm.objects.get().message == "A proof of Erased (not Anna) differs."
    assert ProofDifference.objects.get().name == "Erased, Anna and Erased"
    assert ProofResult.objects.get().scope == "Wallets: Erased"


def test_alarms_and_proofs_of_others_keep_the_same_word():
    ann = make_ann(name="Pro")
    ben = make_customer(name="Ben Smith")
    alarm("Pro plan of Ben Smith", make_run(ben, name="Pro plan"))
    erase(ann)
    assert (Alarm.objects.get().message, ProofDifference.objects.get().name) == ("Pro plan of Ben Smith", "Pro plan")


def test_former_names_of_the_customer_are_erased_too():
    ann = make_ann()
    map_external_id("ann-before", ann, by=None)
    ann.name, ann.email = "Mrs Jones", "jones@example.com"
    save_customer(ann, by=None)
    alarm("Ann, ann@example.com, ann-before, Mrs Jones: Anna's wallet differs", make_run(ann))
    refusal("/v1/aliases", "c-1 is the external id of Ann, who would no longer receive these events.")
    erase(ann)
    assert Alarm.objects.get().message == "Erased, Erased, Erased, Erased: Anna's wallet differs"
    assert not RefusedRequest.objects.exists()


def test_an_external_id_that_is_replaced_is_replaced_by_the_same_text_in_open_alarms():
    """Two open alarms of a kind can't be about the same thing, so both customers keep an ID of their own."""
    customers = [make_ann(name=name, email="", external_id=f"{name}-inc") for name in ("Ann", "Ben")]
    for customer in customers:
        alarm("It differs.", make_run(customer), about=f"Customer {customer.external_id}")
    for customer in customers:
        erase(customer)
    about = set(Alarm.objects.values_list("about", flat=True))
    assert about == {f"Customer erased-{customer.public_id}" for customer in customers}
