"""Problems by cause with their fixes, and the list of problems."""

from urllib.parse import parse_qsl, urlsplit

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from events.models import EventState, Problem, ProblemState
from tests.admin_pages import text_of
from tests.events.senders import ledger, process, send
from tests.factories import make_customer, make_feature, make_user

pytestmark = pytest.mark.django_db
CAUSES = "/admin/events/problem/causes/"
LIST = "/admin/events/problem/"
FIX = "/admin/events/debugger/fix/"


@pytest.fixture
def acme():
    make_customer(external_id="acme")
    return make_feature(name="Tokens", event_name="model.usage", field="tokens")


@pytest.fixture
def viewer_client():
    user = make_user()
    user.groups.add(Group.objects.get(name="Viewer"))
    client = Client()
    client.force_login(user)
    return client


def test_every_cause_offers_its_fix_filled_in(acme, staff_client):
    send("Model.Usage")
    send("model.usage", customer="stranger", tokens=1)
    send("model.usage", tokens="12")
    process()
    page = staff_client.get(CAUSES).content.decode()
    fix = "/admin/events/debugger/fix/?action="
    assert f"{fix}map_event_name&amp;alias=Model.Usage&amp;event_name=model.usage&amp;back=problems" in page
    assert "/admin/catalog/feature/add/?event_name=Model.Usage" in page
    assert f"{fix}create_customer&amp;external_id=stranger&amp;name=stranger&amp;back=problems" in page
    assert f"{fix}map_customer&amp;alias=stranger&amp;back=problems" in page
    assert f"{fix}accept_numeric_strings&amp;feature={acme.pk}&amp;back=problems" in page


def test_without_problems_the_page_says_so(staff_client):
    assert "No open problem" in staff_client.get(CAUSES).content.decode()


def test_every_number_links_to_exactly_its_problems(acme, staff_client):
    other = make_feature(name="Credits", event_name="model.usage", field="credits")
    for _ in range(2):
        send("model.usage", tokens="12", credits=1)
    send("model.usage", tokens="12", credits="1")
    send("model.usage", customer="a stranger & co", tokens=1, credits=1)
    process()
    rows = staff_client.get(CAUSES).context_data["causes"]
    listed = {}
    for row in rows:
        found = staff_client.get(row["list_url"]).context_data["cl"]
        listed[row["cause"].reason.value, row["cause"].feature] = found.result_count
    assert listed == {("not_a_number", acme): 3, ("not_a_number", other): 1, ("unknown_customer", None): 1}
    assert listed == {(row["cause"].reason.value, row["cause"].feature): row["cause"].problems for row in rows}


def cause_url(client, action, number=0):
    return client.get(CAUSES).context_data["causes"][number][f"{action}_url"]


def apply(client, url):
    """Press the button of a fix's page."""
    return client.post(FIX, dict(parse_qsl(urlsplit(url).query)) | {"reason": "Found by a customer"}, follow=True)


@pytest.mark.django_db(transaction=True)
def test_all_problems_of_a_fixed_cause_are_replayed(staff_client, staff_user):
    make_feature(event_name="model.usage", field="tokens")
    names = [send("model.usage", customer="later", tokens=number) for number in range(3)]
    process()
    url = cause_url(staff_client, "replay")
    make_customer(external_id="later")
    preview = staff_client.post(f"{FIX}effect/", dict(parse_qsl(urlsplit(url).query)))
    assert "Apply and replay 3 events" in text_of(preview)
    assert Problem.objects.filter(state=ProblemState.OPEN).count() == 3  # looking does nothing
    apply(staff_client, url)
    assert {ledger(name).state for name in names} == {EventState.COUNTED}
    assert {problem.closed_by for problem in Problem.objects.all()} == {staff_user}


@pytest.mark.django_db(transaction=True)
def test_problems_that_remain_stay_open(staff_client):
    make_customer(external_id="acme")
    send("wrong")
    process()
    response = apply(staff_client, cause_url(staff_client, "replay"))
    assert response.redirect_chain == [(CAUSES, 302)]
    assert "1 still open" in response.content.decode()


def test_a_cause_is_dismissed_with_a_reason_only(acme, staff_client, staff_user):
    name = send("wrong")
    process()
    url = cause_url(staff_client, "dismiss")
    staff_client.post(url, {"_form_submitted": "1", "reason": ""})
    assert Problem.objects.get().state == ProblemState.OPEN
    staff_client.post(url, {"_form_submitted": "1", "reason": "A load test"})
    problem = Problem.objects.get()
    assert (problem.state, problem.closing, problem.closed_by) == (ProblemState.DISMISSED, "A load test", staff_user)
    assert ledger(name).state == EventState.DISMISSED


def test_selected_problems_are_dismissed_after_a_question(acme, staff_client):
    send("wrong")
    send("wrong too")
    process()
    chosen = Problem.objects.get(event_name="wrong")
    asked = staff_client.post(LIST, {"action": "dismiss_selected", "_selected_action": [chosen.pk]})
    assert "Reason" in asked.content.decode()
    staff_client.post(LIST, {"action": "dismiss_selected", "_selected_action": [chosen.pk], "reason": "A test"})
    assert list(Problem.objects.filter(state=ProblemState.DISMISSED)) == [chosen]


@pytest.mark.django_db(transaction=True)
def test_selected_problems_are_replayed(staff_client):
    make_feature(event_name="model.usage", field="tokens")
    name = send("model.usage", customer="later", tokens=1)
    process()
    make_customer(external_id="later")
    chosen = Problem.objects.get()
    staff_client.post(LIST, {"action": "replay_selected", "_selected_action": [chosen.pk]})
    assert ledger(name).state == EventState.COUNTED


@pytest.mark.parametrize("action", ["replay", "dismiss"])
def test_a_viewer_sees_causes_and_no_action(acme, viewer_client, staff_client, action):
    send("wrong")
    process()
    url = cause_url(staff_client, action)
    page = viewer_client.get(CAUSES)
    assert page.status_code == 200
    assert "Dismiss…" not in page.content.decode()
    assert "catalog/feature/add" not in page.content.decode()
    assert viewer_client.get(url).status_code == 403
    given = dict(parse_qsl(urlsplit(url).query)) | {"_form_submitted": "1", "reason": "x"}
    assert viewer_client.post(url, given).status_code == 403
    posted = {"action": f"{action}_selected", "_selected_action": [Problem.objects.get().pk], "reason": "x"}
    viewer_client.post(LIST, posted)
    assert Problem.objects.get().state == ProblemState.OPEN


def test_the_list_shows_open_problems_by_default(acme, staff_client):
    send("wrong")
    process()
    Problem.objects.update(state=ProblemState.DISMISSED, closing="x", closed_at="2026-01-01T00:00Z")
    send("wrong too")
    process()

    def names(**asked):
        return {row.event_name for row in staff_client.get(LIST, asked).context_data["cl"].result_list}

    assert names() == {"wrong too"}
    assert names(state="3") == {"wrong"}
    assert names(state="all") == {"wrong", "wrong too"}
    assert names(state="all", q="acme") == {"wrong", "wrong too"}


def test_the_number_of_problems_does_not_change_query_count(acme, staff_client, django_assert_num_queries):
    def look(expected):
        # Session, user, badges, the company's name, and the page with event, feature and who closed it.
        with django_assert_num_queries(5):
            assert staff_client.get(LIST).context_data["cl"].result_count == expected

    send("model.usage", tokens="1")
    process()
    look(1)
    for number in range(40):
        send("model.usage", customer="acme", tokens=f"x{number}")
    process()
    look(25)


def test_a_problems_page_explains_it(acme, staff_client):
    send("model.usage", tokens="12")
    process()
    url = reverse("admin:events_problem_change", args=[Problem.objects.get().pk])
    assert "Send a number without quotes" in staff_client.get(url).content.decode()
