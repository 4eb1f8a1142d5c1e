"""While sign-ins, searches, the schema and long documents are attacked, every event is answered, and none is lost."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from billing.models import InvoiceLine
from events.access.keys import make_key
from events.models import Scope
from tests import attackers
from tests.attackers import Attack
from tests.billing.invoices import make_draft
from tests.billing.world import D
from tests.web_server import database_url

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

LINES, EVENTS, SENDERS = 1_500, 50, 4


def make_long_draft():
    invoice = make_draft("1")
    InvoiceLine.objects.bulk_create(
        InvoiceLine(invoice=invoice, position=n, kind="item", description=f"Item {n}", amount=D(1))
        for n in range(2, LINES + 1)
    )
    return invoice


def send_events(url, key):
    """Send events one after the other; return their ids, all accepted."""
    with httpx.Client(base_url=url, headers={"x-api-key": key}, timeout=60) as client:
        answers = [
            client.post("/v1/events", json={"event_name": "calls", "external_customer_id": "acme"})
            for _ in range(EVENTS)
        ]
    assert {answer.status_code for answer in answers} == {202}
    return [answer.json()["event_id"] for answer in answers]


def test_every_event_is_stored_once_and_every_attacker_gets_an_answer(web_server):
    _, key = make_key("Sender", single_per_minute=0)
    _, attackers_key = make_key("Attacker", scopes=[Scope.READ], single_per_minute=0)
    attack = Attack(web_server, attackers_key, make_long_draft().public_id, seconds=10, clients=3)
    with ThreadPoolExecutor(1 + SENDERS) as pool:
        attacking = pool.submit(attackers.run, attack)
        sending = [pool.submit(send_events, web_server, key) for _ in range(SENDERS)]
        accepted = [event_id for sender in sending for event_id in sender.result()]
        answers = attacking.result()
    assert len(set(accepted)) == EVENTS * SENDERS
    count = "SELECT count(*) FROM events_inboxrequest, unnest(event_ids) AS sent (name) WHERE sent.name = ANY (%s)"
    with psycopg.connect(database_url()) as database:
        assert database.execute(count, [accepted]).fetchone() == (len(accepted),)
    # A sign-in that is refused shows its form again, or says when to come back; who asks for too much gets 429.
    assert answers.keys() <= {
        *("sign-in 200", "sign-in 429", "search 200", "search 429", "schema 200", "pdf 200", "pdf 429"),
    }
    assert {name.split()[0] for name in answers} == attackers.KINDS.keys()
