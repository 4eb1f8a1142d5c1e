"""The steps of the diagnosis: their sentences, evidence and fixes."""

from datetime import timedelta
from decimal import Decimal

import pytest

from catalog.features import alias_property, archive_feature, map_event_name, save_feature
from customers.accounts import archive_customer, map_external_id
from customers.models import Customer
from customers.subscriptions import cancel, change_plan, pause
from events.diagnosis import Diagnosis, DiagnosisStep, Place, Status, StepKey, diagnose, look_up
from events.ledger.voiding import dismiss, void_event
from events.models import Event, InboxEvent
from tests.events.senders import NOON, ledger, process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)
DAY = timedelta(days=1)


def one(steps, key: StepKey) -> DiagnosisStep:
    """Return the only step with this key."""
    [step] = [step for step in steps if step.key == key]
    assert isinstance(step, DiagnosisStep)
    return step


def walk(event_id: str) -> list[DiagnosisStep]:
    return diagnose(ledger(event_id), now=LATER)


def judged(event_id: str, key: StepKey) -> tuple[Status, str | None]:
    step = one(walk(event_id), key)
    return step.status, step.reason


def actions(step: DiagnosisStep) -> list[str]:
    return [fix.action for fix in step.fixes if fix.action]


@pytest.fixture
def acme() -> Customer:
    return make_customer(external_id="acme", name="Acme")


@pytest.fixture
def tokens():
    return make_feature(
        name="Tokens", event_name="model.usage", field="tokens", unit_singular="token", unit_plural="tokens"
    )


def subscribed(customer, feature, **given):
    """Subscribe the customer to a plan that prices the feature, from January on."""
    version = make_version({"feature": feature, "unit_amount": Decimal("0.01")}, **given)
    return make_subscription(customer=customer, plan=version)


def test_every_step_passes_for_an_event_that_counts(acme, tokens):
    subscribed(acme, tokens)
    steps = walk_of(tokens=5)
    assert [step.key for step in steps] == list(StepKey)
    assert {step.status for step in steps} <= {Status.PASS, Status.INFO}
    assert one(steps, StepKey.USAGE).sentence == "Counted: it added 5 tokens."


def walk_of(name: str = "model.usage", **given) -> list[DiagnosisStep]:
    event_id = send(name, **given)
    process()
    return walk(event_id)


def test_no_step_is_left_out_when_everything_is_wrong():
    make_feature(name="Tokens", event_name="model.usage", field="tokens")
    steps = walk_of("Model.Usage", customer="nobody", tokns="2")
    assert [step.key for step in steps] == list(StepKey)
    failed = [step.key for step in steps if step.status == Status.FAIL]
    assert failed == [StepKey.EVENT_NAME, StepKey.FIELD, StepKey.CUSTOMER, StepKey.USAGE]


def test_a_name_in_the_wrong_case_suggests_a_mapping(acme, tokens):
    step = one(walk_of("Model.Usage", tokens=1), StepKey.EVENT_NAME)
    assert (step.status, step.reason, step.guide) == (Status.FAIL, "unknown_event_name", "1A")
    assert "“model.usage” differs only in upper and lower case" in step.sentence
    assert step.fixes[0].action == "map_event_name"
    assert dict(step.fixes[0].parameters) == {"alias": "Model.Usage", "event_name": "model.usage"}


def test_a_name_similar_to_an_alias_is_mapped_to_the_features_name(acme, tokens):
    map_event_name("llm.tokens", "model.usage", by=None)
    step = one(walk_of("LLM.tokens", tokens=1), StepKey.EVENT_NAME)
    assert step.fixes[0].parameters["event_name"] == "model.usage"


def test_a_name_without_a_similar_one_suggests_a_new_feature(acme, tokens):
    step = one(walk_of("something.else"), StepKey.EVENT_NAME)
    assert (step.status, actions(step)) == (Status.FAIL, [])
    assert "or a similar one" in step.sentence


def test_a_mapped_name_is_known(acme, tokens):
    map_event_name("llm.tokens", "model.usage", by=None)
    step = one(walk_of("llm.tokens", tokens=1), StepKey.EVENT_NAME)
    assert (step.status, step.sentence) == (Status.PASS, "“llm.tokens” is mapped to Tokens.")


def test_an_archived_feature_can_be_activated(acme, tokens):
    archive_feature(tokens, now=NOON - DAY, by=None)
    step = one(walk_of(tokens=1), StepKey.FEATURE)
    assert (step.status, step.reason, actions(step)) == (Status.FAIL, "feature_archived", ["activate_feature"])


def test_a_feature_archived_later_counted_the_event(acme, tokens):
    event_id = send("model.usage", tokens=1)
    process()
    archive_feature(tokens, now=LATER, by=None)
    assert judged(event_id, StepKey.FEATURE) == (Status.WARNING, None)
    assert judged(event_id, StepKey.USAGE) == (Status.PASS, None)


def test_an_event_before_the_features_start_is_reported(acme):
    make_feature(name="Calls", counts_from=NOON + DAY)
    step = one(walk_of("api.calls"), StepKey.FEATURE)
    assert (step.status, step.reason) == (Status.FAIL, "before_feature_start")


def test_a_filter_mismatch_is_reported_as_such(acme):
    make_feature(name="GPT calls", filters={"model": ["gpt-4"]})
    steps = walk_of("api.calls", model="claude")
    assert one(steps, StepKey.EVENT_NAME).status == Status.PASS
    step = one(steps, StepKey.FILTER)
    assert (step.status, step.reason) == (Status.FAIL, "filter_mismatch")
    assert [(row.label, row.value) for row in step.evidence] == [("model must be", "gpt-4; sent: claude")]


def test_another_feature_may_count_the_event_by_its_filter(acme):
    make_feature(name="GPT calls", filters={"model": ["gpt-4"]})
    make_feature(name="Other calls", filters={"model": ["claude"]})
    steps = walk_of("api.calls", model="claude")
    assert {step.feature: step.status for step in steps if step.key == StepKey.FILTER} == {
        "": Status.INFO,  # the other features share a step
        "Other calls": Status.PASS,
    }
    assert {step.feature: step.status for step in steps if step.key == StepKey.USAGE} == {
        "Other calls": Status.PASS,
    }


def test_a_misspelled_field_is_compared_with_the_sent_properties(acme, tokens):
    step = one(walk_of(Tokens=2), StepKey.FIELD)
    assert (step.status, step.reason, step.guide) == (Status.FAIL, "aggregation_field_missing", "2A, 2C")
    assert "The event has “Tokens”, which differs only in upper and lower case" in step.sentence


def test_missing_properties_are_reported(acme, tokens):
    step = one(walk_of(), StepKey.FIELD)
    assert step.sentence == "The event has no properties; Tokens needs the field tokens."


def test_a_null_is_a_missing_value(acme, tokens):
    step = one(walk_of(tokens=None), StepKey.FIELD)
    assert (step.status, step.sentence) == (Status.FAIL, "The field tokens is null; it needs a value.")


def test_a_numeric_string_can_be_accepted(acme, tokens):
    step = one(walk_of(tokens="2"), StepKey.VALUE)
    assert (step.status, step.reason, actions(step)) == (Status.FAIL, "not_a_number", ["accept_numeric_strings"])


@pytest.mark.parametrize("value", ["two", True, [1], {"n": 1}])
def test_other_values_cannot_be_accepted_as_numeric_strings(acme, tokens, value):
    step = one(walk_of(tokens=value), StepKey.VALUE)
    assert (step.status, step.reason, actions(step)) == (Status.FAIL, "not_a_number", [])


def test_the_stored_configuration_is_compared_with_todays(acme, tokens):
    event_id = send("model.usage", tokens="2")
    process()
    tokens.accept_numeric_strings = True
    save_feature(tokens, by=None)
    step = one(walk(event_id), StepKey.VALUE)
    assert (step.status, actions(step)) == (Status.WARNING, ["replay"])
    assert step.comparisons[0].rows == (("Accepts numeric strings", "no", "yes"),)


def test_a_number_keeps_every_digit(acme, tokens):
    exact = Decimal("12345678901234567890.123456789")
    steps = walk_of(tokens=exact)
    assert one(steps, StepKey.USAGE).sentence == "Counted: it added 12,345,678,901,234,567,890.123456789 tokens."
    assert '"tokens": 12345678901234567890.123456789' in one(steps, StepKey.SHAPE).evidence[1].value


def test_an_unknown_customer_can_be_created(tokens):
    step = one(walk_of(customer="who-is-this", tokens=1), StepKey.CUSTOMER)
    assert (step.status, step.reason, actions(step)) == (Status.FAIL, "unknown_customer", ["create_customer"])


def test_a_similar_customer_suggests_the_mapping_first(acme, tokens):
    subscribed(acme, tokens)
    steps = walk_of(customer="Acme", tokens=1)
    step = one(steps, StepKey.CUSTOMER)
    assert actions(step) == ["map_customer", "create_customer"]
    assert "(Acme) differs only in upper and lower case" in step.sentence
    assert one(steps, StepKey.SUBSCRIPTION).status == Status.PASS


def test_a_mapped_customer_is_known(acme, tokens):
    map_external_id("ACME Inc", acme, by=None, reason="their old id")
    step = one(walk_of(customer="ACME Inc", tokens=1), StepKey.CUSTOMER)
    assert (step.status, step.sentence) == (Status.PASS, "“ACME Inc” is mapped to Acme.")


def test_an_archived_customer_can_be_activated(acme, tokens):
    archive_customer(acme, now=NOON - DAY, by=None)
    step = one(walk_of(tokens=1), StepKey.CUSTOMER)
    assert (step.status, step.reason, actions(step)) == (Status.FAIL, "customer_archived", ["activate_customer"])


def test_a_missing_subscription_can_be_created_from_the_events_time(acme, tokens):
    step = one(walk_of(tokens=1), StepKey.SUBSCRIPTION)
    assert (step.status, step.reason) == (Status.FAIL, "no_subscription_at_time")
    assert step.sentence == "Acme has never had a subscription, so nothing is billed."
    assert step.fixes[0].parameters["at"] == NOON.isoformat()


def test_an_event_before_the_subscription_says_by_how_much(acme, tokens):
    subscribed(acme, tokens)
    step = one(walk_of(tokens=1, at=NOON.replace(year=2025, month=12, day=30)), StepKey.SUBSCRIPTION)
    assert step.reason == "no_subscription_at_time"
    assert "1 day before the subscription" in step.sentence


def test_a_subscription_includes_its_start_and_excludes_its_end(acme, tokens):
    subscription = subscribed(acme, tokens)
    cancel(subscription, at=NOON, now=NOON - DAY, by=None)
    start, end = subscription.started_at, NOON
    assert one(walk_of(tokens=1, at=start), StepKey.SUBSCRIPTION).status == Status.PASS
    ended = one(walk_of(tokens=1, at=end), StepKey.SUBSCRIPTION)
    assert (ended.status, ended.reason) == (Status.FAIL, "subscription_ended")
    assert one(walk_of(tokens=1, at=end - timedelta(microseconds=1)), StepKey.SUBSCRIPTION).status == Status.PASS


def test_a_pause_is_reported(acme, tokens):
    subscription = subscribed(acme, tokens)
    pause(subscription, at=NOON - DAY, now=NOON - DAY, by=None)
    step = one(walk_of(tokens=1), StepKey.SUBSCRIPTION)
    assert (step.status, step.reason) == (Status.FAIL, "subscription_paused")


def test_a_trial_is_a_warning_because_usage_is_free(acme, tokens):
    version = make_version({"feature": tokens})
    make_subscription(customer=acme, plan=version, trial_days=90)
    step = one(walk_of(tokens=1), StepKey.SUBSCRIPTION)
    assert (step.status, step.reason) == (Status.WARNING, "subscription_in_trial")


def test_cancelling_later_does_not_change_the_subscription_in_force_before(acme, tokens):
    subscription = subscribed(acme, tokens)
    event_id = send("model.usage", tokens=1, at=NOON - DAY)
    process()
    cancel(subscription, at=LATER, now=LATER, by=None)
    assert judged(event_id, StepKey.SUBSCRIPTION) == (Status.PASS, None)


def test_a_changed_history_shows_both_versions(acme, tokens):
    subscription = subscribed(acme, tokens, name="Basic")
    event_id = send("model.usage", tokens=1)
    process()
    now = ledger(event_id).processed_at + timedelta(seconds=1)
    other = make_version({"feature": tokens}, name="Pro")
    change_plan(subscription, other, at=NOON - DAY, now=now, by=None, reason="wrong plan at the start")
    step = one(diagnose(ledger(event_id), now=now), StepKey.SUBSCRIPTION)
    assert step.status == Status.WARNING
    assert step.comparisons[0].rows == (
        ("In force then", "Active on Basic v1", "Active on Pro v1"),
        ("Changed because", "", "wrong plan at the start"),
    )


def test_a_feature_without_a_price_can_be_added_to_the_plan(acme, tokens):
    make_subscription(customer=acme)
    step = one(walk_of(tokens=1), StepKey.PLAN)
    assert (step.status, step.reason, actions(step)) == (Status.FAIL, "feature_not_in_plan", ["add_to_plan"])


def test_a_price_in_another_currency_does_not_apply(acme, tokens):
    version = make_version({"feature": tokens, "currency": "EUR"}, {"feature": make_feature(), "currency": "USD"})
    make_subscription(customer=acme, plan=version)
    step = one(walk_of(tokens=1), StepKey.PLAN)
    assert step.reason == "feature_not_in_plan"
    assert "only in EUR monthly; the subscription is billed in USD monthly" in step.sentence


def test_a_duplicate_with_the_same_content_is_a_warning(acme, tokens):
    send("model.usage", event_id="e-1", tokens=1)
    send("model.usage", event_id="e-1", tokens=1)
    process()
    step = one(walk("e-1"), StepKey.DUPLICATE)
    assert (step.status, step.reason) == (Status.WARNING, "duplicate_same_body")
    assert step.sentence == "The same event_id came again with the same content. It counts once."


def test_a_duplicate_with_different_content_shows_both(acme, tokens):
    send("model.usage", event_id="e-1", tokens=1, source="web")
    process()
    send("model.usage", event_id="e-1", tokens=2, source="batch")
    process()
    step = one(walk("e-1"), StepKey.DUPLICATE)
    assert (step.status, step.reason) == (Status.WARNING, "duplicate_conflict")
    rows = {name: (left, right) for name, left, right in step.comparisons[0].rows}
    assert rows["properties.tokens"] == ("1", "2")
    assert rows["source"] == ("web", "batch")


def test_a_voided_event_says_by_whom_and_why(acme, tokens, staff_user):
    event_id = send("model.usage", tokens=1)
    process()
    void_event(ledger(event_id), reason="sent twice by hand", now=LATER, by=staff_user)
    step = one(walk(event_id), StepKey.USAGE)
    assert (step.status, step.reason) == (Status.FAIL, "voided")
    assert "voided by staff" in step.sentence
    assert "sent twice by hand" in step.sentence


def test_a_dismissed_problem_gives_its_reason(acme, tokens):
    event_id = send("model.usage", tokens="many")
    process()
    dismiss(ledger(event_id).problems.values_list("pk", flat=True), reason="a test of theirs", now=LATER)
    step = one(walk(event_id), StepKey.USAGE)
    assert (step.status, step.sentence) == (Status.WARNING, "It adds nothing: dismissed: a test of theirs")


def test_features_with_the_same_event_name_are_judged_separately(acme):
    make_feature(name="Calls")
    make_feature(name="Tokens", field="tokens")
    steps = walk_of("api.calls", tokens="2")
    usage = {step.feature: step.status for step in steps if step.key == StepKey.USAGE}
    assert usage == {"Calls": Status.PASS, "Tokens": Status.FAIL}


def test_a_waiting_event_is_diagnosed_before_it_is_processed(acme, tokens):
    event_id = send("model.usage", tokens=3)
    found = look_up(event_id, now=LATER)
    assert found.subject is not None
    assert found.subject.place == Place.WAITING
    assert one(found.steps, StepKey.USAGE).sentence == "It will add 3 tokens."
    assert diagnose(InboxEvent.objects.get(), now=LATER) == list(found.steps)


def test_a_timestamp_far_in_the_future_is_a_warning(acme, tokens):
    step = one(walk_of(tokens=1, at=NOON + timedelta(minutes=30)), StepKey.SHAPE)
    assert step.status == Status.WARNING
    assert "30 minutes ahead" in step.sentence


def test_an_id_that_was_never_accepted_is_unknown():
    assert look_up("never-seen", now=NOON) == Diagnosis("never-seen", None)
    assert not look_up("never-seen", now=NOON).is_known


def test_an_event_processed_in_the_meantime_raises_an_error(acme, tokens):
    send("model.usage", tokens=3)
    waiting = InboxEvent.objects.get()
    process()
    with pytest.raises(LookupError):
        diagnose(waiting, now=LATER)


@pytest.mark.hot
def test_diagnosing_writes_nothing_and_its_cost_is_constant(acme, tokens, django_assert_max_num_queries):
    subscribed(acme, tokens)
    for _ in range(20):
        send("model.usage", tokens=1)
    process()
    event = Event.objects.first()
    with django_assert_max_num_queries(32) as captured:
        diagnose(event, now=LATER)
    assert not [query for query in captured if query["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]


@pytest.fixture
def models(acme):
    """Two features count model.usage, each of one model; only the small one is sold."""
    big = make_feature(name="Big", event_name="model.usage", field="tokens", filters={"model": ["big"]})
    small = make_feature(name="Small", event_name="model.usage", field="tokens", filters={"model": ["small"]})
    subscribed(acme, small)
    return big, small


def test_a_feature_whose_filter_leaves_the_event_out_has_one_step_and_no_blame(models):
    steps = walk_of(model="small", tokens=5)
    assert [step.key for step in steps if step.feature == "Big"] == []
    assert len(steps) == len(StepKey) + 1  # the features that leave the event to another one share a step
    assert {step.status for step in steps} <= {Status.PASS, Status.INFO}
    [others] = [step for step in steps if step.key == StepKey.FILTER and not step.feature]
    assert others.sentence == "Other features of this event name leave the event to Small: Big."
    assert others.evidence[0].value == "model must be big; sent: small"


def test_only_the_feature_that_should_count_is_blamed_for_a_bad_value(models):
    steps = walk_of(model="small", tokens="many")
    failed = [(step.key, step.feature) for step in steps if step.status == Status.FAIL]
    assert failed == [(StepKey.VALUE, "Small"), (StepKey.USAGE, "Small")]


def test_an_archived_feature_is_not_blamed_if_another_counts_the_event(acme, tokens):
    subscribed(acme, tokens)
    old = make_feature(name="A former feature", event_name="model.usage")
    archive_feature(old, now=NOON - DAY, by=None)
    steps = walk_of(tokens=5)
    assert not [step for step in steps if step.status == Status.FAIL]
    assert "A former feature" in steps[7].sentence


def test_an_event_that_matches_no_filter_offers_to_extend_each_and_promises_nothing(models):
    steps = walk_of(model="tiny", tokens=5)
    filters = [step for step in steps if step.key == StepKey.FILTER]
    fixes = [fix for step in filters for fix in step.fixes if fix.action]
    assert [(fix.label, fix.action) for fix in fixes] == [
        ("Also count model = “tiny” in Big", "extend_filter"),
        ("Also count model = “tiny” in Small", "extend_filter"),
    ]
    usage = one(steps, StepKey.USAGE)
    assert usage.sentence == "It adds nothing: no feature's filter matches. If Big counted it, it would add 5 units."


def test_the_feature_with_the_nearest_filter_is_assumed(acme):
    make_feature(name="Far", event_name="model.usage", filters={"model": ["big"], "region": ["us"]})
    make_feature(name="Near", event_name="model.usage", filters={"model": ["small"], "region": ["eu"]})
    steps = walk_of(model="tiny", region="eu")
    assert one(steps, StepKey.USAGE).feature == "Near"


def test_a_misspelled_property_can_be_read_as_the_field(acme, tokens):
    step = one(walk_of(token=5), StepKey.FIELD)
    fix = step.fixes[0]
    assert (fix.label, fix.action, fix.parameters["property"]) == ("Read “token” as tokens", "alias_property", "token")
    alias_property(tokens, "token", by=None)
    step = one(walk_of(token=5), StepKey.FIELD)
    assert (step.status, step.sentence) == (Status.PASS, "token was sent, and is read as tokens.")
