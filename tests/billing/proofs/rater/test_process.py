"""The independent rater runs on its own: it loads nothing of the product, and no settings."""

import json
import subprocess
import sys

from django.conf import settings

from billing.proofs.asking import open_rater
from tests.billing.proofs.rater import questions

LOADED = "import sys, billing.proofs.rater.protocol; print(*sorted(sys.modules))"
USED = [(7, ["2026-01-05T00:00:00+00:00", 5, "1000", None]), (7, ["2026-01-06T00:00:00+00:00", 6, "500", None])]


def test_it_loads_nothing_of_the_product_and_no_library():
    loaded = subprocess.run([sys.executable, "-c", LOADED], cwd=settings.BASE_DIR, capture_output=True, check=True)
    names = loaded.stdout.decode().split()
    ours = ("billing", "catalog", "config", "customers", "events")
    own = {"billing", "billing.proofs"}
    assert not [
        name
        for name in names
        if name.split(".")[0] in ours and name not in own and not name.startswith("billing.proofs.rater")
    ]
    assert not {name.split(".")[0] for name in names} & {"django", "psycopg", "babel", "celery"}


def test_a_process_answers_one_question_after_another():
    version = questions.version([{**questions.price(unit_amount="0.01"), "feature": 7}])
    subscription = questions.subscription(versions={"1": version}, features=[questions.feature(7)])
    with open_rater() as rater:
        answers = []
        for _ in range(2):
            needs = rater.needs({"subscription": subscription, "period": questions.MONTH})
            assert json.dumps(needs) == json.dumps(
                [{"feature": 7, "start": "2026-01-01T00:00:00+00:00", "end": "2026-02-01T00:00:00+00:00"}]
            )
            answers.append(rater.answer(USED)["usage"])
    assert answers[0] == answers[1]
    assert [(line["quantity"], line["amount"], line["events"], line["checksum"]) for line in answers[0]] == [
        ("1500", "15", 2, 3)
    ]
