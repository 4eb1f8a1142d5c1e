"""Every number on the pages of Usage Tracking and on Home links to what it counts."""

import re
from html.parser import HTMLParser

import pytest
from django.core.cache import caches
from django.urls import reverse
from django.utils import timezone

from events.fixing import runs
from events.models import DuplicateEvent, Event, MendingRun, Problem
from events.models.operations import MendingKind
from tests.admin_pages import url
from tests.events.senders import process, send
from tests.factories import make_customer, make_feature, make_subscription, make_version

pytestmark = pytest.mark.django_db
NUMBER = re.compile(r"\d[\d,]*\+?( (events?|problems?|customers?|times?|counted|with problems|duplicates))?")
UNREAD = {"script", "style", "code", "pre", "time", "option", "textarea", "nav", "aside", "button", "title", "label"}
NO_COUNT = ("ch-step-mark", "select2", "ch-sent")  # places in an order, and what was sent
VOID = {"input", "img", "br", "link", "meta", "hr", "col", "source", "path", "circle"}


class Numbers(HTMLParser):
    """Collects numbers that stand in no link: texts that are a number, with the word for what is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.found: list[str] = []
        self.row_leads_on = False

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            given = dict(attrs)
            if tag == "tr":
                self.row_leads_on = False
            elif tag == "a" and {"details", "th"} <= {name for name, _ in self.open}:
                self.row_leads_on = True  # a chart's table: the row's heading leads to what its numbers count
            self.open.append((tag, f"{given.get('class') or ''} {given.get('id') or ''}"))

    def handle_endtag(self, tag):
        while self.open and tag not in VOID:
            if self.open.pop()[0] == tag:
                break

    def handle_data(self, data):
        tags = [tag for tag, _ in self.open]
        classes = " ".join(names for _, names in self.open)
        if (
            "a" in tags
            or (self.row_leads_on and "td" in tags)
            or UNREAD & set(tags)
            or "ch-step-mark" in classes
            or "select2" in classes
            or "ch-sent" in classes
        ):
            return
        if NUMBER.fullmatch(data.strip()):
            self.found.append(f"{data.strip()} in {self.open[-1][1].strip() or tags[-1]}")


def numbers_of(answer, address) -> list[str]:
    assert answer.status_code == 200, address
    text = answer.content.decode()
    begin = text.find('id="content"')
    parser = Numbers()
    parser.feed(text[max(begin, 0) :])
    return parser.found


@pytest.fixture
def world():
    caches["figures"].clear()
    feature = make_feature(name="Tokens", event_name="model.usage", field="tokens")
    make_subscription(customer=make_customer(external_id="acme", name="Acme"), plan=make_version({"feature": feature}))
    make_customer(external_id="globex", name="Globex")
    now = {"at": timezone.now(), "received_at": timezone.now()}
    send("model.usage", event_id="counted", tokens=1, **now)
    send("model.usage", event_id="free", customer="globex", tokens=1, **now)
    send("Model.Usage", event_id="wrong", tokens=1, **now)
    send("model.usage", event_id="text", tokens="1", **now)
    process()
    send("model.usage", event_id="counted", tokens=2, **now)
    process()
    send("model.usage", event_id="waits", tokens=2, **now)
    runs.start_run(
        MendingKind.REPLAY, "replay_cause", {"cause": "not_a_number"}, title="x", now=timezone.now(), by=None
    )
    return feature


def test_every_number_is_a_link(world, staff_client):
    month = {"feature": world.pk, "window": "month", "timezone": "UTC", "group": "day"}
    pages = [
        *(reverse("admin:index"), url("events_event_changelist"), url("events_problem_causes"), url("events_debugger")),
        *(url("events_unbilled"), url("events_problem_changelist"), url("events_duplicateevent_changelist")),
        *(url("events_inboxevent_changelist"), url("events_query"), url("events_query", **month)),
        *(url("events_debugger", event=name) for name in ("counted", "wrong", "text", "waits", "nowhere")),
        *(url("events_event_change", pk) for pk in Event.objects.values_list("pk", flat=True)),
        *(url("events_problem_change", pk) for pk in Problem.objects.values_list("pk", flat=True)),
        url("events_duplicateevent_change", DuplicateEvent.objects.get().pk),
        url("events_mendingrun_change", MendingRun.objects.get().pk),
    ]
    fix = {"action": "map_event_name", "alias": "Model.Usage", "event_name": "model.usage"}
    rows = [row["at_risk_url"] for row in staff_client.get(url("events_problem_causes")).context_data["causes"]]
    answers = {address: staff_client.get(address) for address in pages}
    answers |= {address: staff_client.post(address) for address in rows}
    answers["effect"] = staff_client.post(url("events_debugger_fix_effect"), fix)
    found = {address: missing for address in answers if (missing := numbers_of(answers[address], address))}
    assert not found, "\n".join(f"{address}: {missing}" for address, missing in found.items())
