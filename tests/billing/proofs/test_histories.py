"""Whatever happens to a customer, in any order: every line can be proved, or waits to be recalculated."""

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Invoice
from billing.proofs.asking import open_rater
from billing.proofs.invoices import InvoiceProofs
from tests.billing.late_usage.test_history_properties import POLICIES, STEPS, begin


@pytest.mark.slow
@pytest.mark.django_db
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(POLICIES, st.lists(STEPS, min_size=12, max_size=40))
def test_every_line_is_proved_in_any_history(policy, steps):
    with transaction.atomic(), open_rater() as rater:
        story = begin(*policy)
        for step in steps:
            story.play(step)
        story.play(("work_late",))
        findings = InvoiceProofs(list(Invoice.objects.values_list("pk", flat=True)), rater).prove()
        assert findings.found == []
        transaction.set_rollback(True)
