"""The proofs agree with everything that the demo company was billed."""

import pytest
from django.utils import timezone

from tests.billing.proofs.proving import counts, differences, prove_night
from tests.demo_company import make_demo_company
from tests.factories import make_user


@pytest.mark.django_db
def test_a_night_proves_the_demo_company():
    make_demo_company(by=make_user(is_superuser=True))
    run = prove_night(timezone.now())
    proved, _, _ = counts(run)["lines"]
    assert differences(run) == []
    assert proved > 50
