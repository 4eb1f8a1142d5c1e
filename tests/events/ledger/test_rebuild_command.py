"""`manage.py rebuild_usage` shows the differences, and corrects them with --apply."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from events.models import UsageBucket, UsageCheck
from events.usage.meter import usage
from tests.events.senders import NOON, process, send
from tests.factories import make_customer, make_feature

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def acme():
    return make_customer(external_id="acme")


@pytest.fixture
def tokens(acme):
    """A sum with 5 tokens in the hour of noon and 7 in each of the next two."""
    feature = make_feature(key="tokens", event_name="model.usage", field="tokens")
    for hours, count in ((0, 5), (1, 7), (2, 7)):
        send("model.usage", at=NOON + hours * HOUR, tokens=count)
    process()
    return feature


def rebuild(*arguments: str) -> str:
    out = StringIO()
    call_command("rebuild_usage", *arguments, stdout=out)
    return out.getvalue()


def total(customer, feature):
    return usage(customer.pk, feature, NOON, NOON + 3 * HOUR).value


def test_correct_usage_is_reported_as_correct(tokens):
    assert rebuild() == "Usage matches the ledger.\n"


def test_differences_are_shown_and_nothing_changes(acme, tokens):
    UsageBucket.objects.filter(hour=NOON).update(count=2, total=50)
    assert rebuild() == (
        f"customer {acme.pk} feature {tokens.pk} 2026-03-10 12:00:00+00:00: stored 2 events (50), ledger 1 (5)\n"
        "1 hours differ; run with --apply to correct them.\n"
    )
    assert total(acme, tokens) == 64
    assert UsageCheck.objects.get().applied_at is None


def test_apply_corrects_usage_and_stores_the_reason(acme, tokens):
    UsageBucket.objects.filter(hour=NOON).update(count=2, total=50)
    assert rebuild("--apply", "--reason", "Restored a backup").endswith("1 hours corrected.\n")
    assert total(acme, tokens) == 19
    check = UsageCheck.objects.get()
    assert (check.reason, check.applied_at is not None) == ("Restored a backup", True)
    assert rebuild("--apply") == "Usage matches the ledger.\n"


def test_the_scope_is_a_feature_a_customer_and_hours(acme, tokens):
    other = make_customer(external_id="other")
    send("model.usage", customer="other", tokens=3)
    process()
    make_feature(key="calls", event_name="model.usage")
    UsageBucket.objects.all().delete()
    said = rebuild(
        *("--feature", "tokens", "--customer", "acme", "--apply"),
        *("--from", "2026-03-10T13:00Z", "--to", "2026-03-10T15:00+01:00"),
    )
    assert said.endswith("1 hours corrected.\n")
    assert (total(acme, tokens), total(other, tokens)) == (7, 0)
    assert rebuild("--feature", tokens.public_id, "--apply").endswith("3 hours corrected.\n")
    assert (total(acme, tokens), total(other, tokens)) == (19, 3)


@pytest.mark.parametrize(
    ("start", "end"), [("2026-03-10T12:59Z", "2026-03-10T13:00Z"), ("2026-03-10T12:00Z", "2026-03-10T12:01Z")]
)
def test_partial_hours_are_compared_as_full_hours(tokens, start, end):
    send("model.usage", at=NOON + timedelta(minutes=30), tokens=1)
    process()
    assert rebuild("--from", start, "--to", end) == "Usage matches the ledger.\n"
    assert UsageCheck.objects.get().buckets == 1


def test_dates_and_times_without_a_zone_are_utc(acme, tokens):
    UsageBucket.objects.all().delete()
    assert rebuild("--from", "2026-03-10", "--to", "2026-03-10 13:00").startswith(
        f"customer {acme.pk} feature {tokens.pk} 2026-03-10 12:00"
    )
    assert rebuild("--from", "2026-03-11") == "Usage matches the ledger.\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--feature", "nothing"], "--feature: no feature 'nothing'."),
        (["--customer", "nobody"], "--customer: no customer 'nobody'."),
        (["--from", "yesterday"], "--from: enter a time such as 2026-03-01T00:00Z, not 'yesterday'."),
        (["--to", "2026-02-30"], "--to: enter a time such as 2026-03-01T00:00Z, not '2026-02-30'."),
        (["--from", "2026-03-02", "--to", "2026-03-02"], "--to must be later than --from."),
    ],
)
def test_invalid_options_are_named(arguments, message):
    with pytest.raises(CommandError) as refused:
        call_command("rebuild_usage", *arguments)
    assert str(refused.value) == message
    assert not UsageCheck.objects.exists()
