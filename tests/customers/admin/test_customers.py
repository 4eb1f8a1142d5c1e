from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from catalog.models import Plan
from customers.accounts import map_external_id
from customers.models import Customer, CustomerAlias, Subscription
from customers.subscriptions import cancel, change_plan, get_phases, pause
from tests.admin_pages import as_viewer, count_queries, submit, text_of, url
from tests.factories import make_customer, make_plan, make_subscription, make_user

pytestmark = pytest.mark.django_db

MODELS = ["customer", "subscription", "customeralias"]
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NO_INLINES = {
    f"{prefix}-{field}": "0" for prefix in ("subscriptions", "aliases") for field in ("TOTAL_FORMS", "INITIAL_FORMS")
}


def running(**given: object) -> Subscription:
    """Make a subscription that runs since three days, whenever the test runs."""
    return make_subscription(**{"starts_at": timezone.now() - timedelta(days=3)} | given)


def move(subscription: Subscription, plan: Plan) -> None:
    now = timezone.now()
    change_plan(subscription, plan, at=now, now=now, by=make_user())


def fill(rounds: int) -> Customer:
    customer = make_customer()
    for number in range(rounds):
        subscription = running(customer=customer, trial_days=1)
        move(subscription, make_plan())
        map_external_id(f"wrong-{customer.pk}-{number}", customer, by=make_user())
        running()
    return customer


# --- Pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_an_empty_list_shows_what_to_do_next(staff_client, model):
    page = staff_client.get(url(f"customers_{model}_changelist")).content.decode()

    assert "This page yielded into no results" not in page
    assert any(words in page for words in ("yet", "No customer aliases"))


def test_a_search_without_result_is_not_an_empty_list(staff_client):
    assert "No customers yet" not in staff_client.get(url("customers_customer_changelist", q="nobody")).content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_list_length_does_not_change_query_count(staff_client, model):
    fill(1)
    few = count_queries(staff_client, url(f"customers_{model}_changelist"))
    fill(4)

    assert count_queries(staff_client, url(f"customers_{model}_changelist")) == few


def test_content_of_a_customer_page_does_not_change_query_count(staff_client):
    few = count_queries(staff_client, url("customers_customer_change", fill(1).pk))

    assert count_queries(staff_client, url("customers_customer_change", fill(5).pk)) == few


def test_history_of_a_subscription_does_not_change_query_count(staff_client):
    def queries(changes: int) -> int:
        subscription = running()
        for _ in range(changes):
            move(subscription, make_plan())
        return count_queries(staff_client, url("customers_subscription_change", subscription.pk))

    assert queries(6) == queries(1)


@pytest.mark.parametrize("search", ["acme-1", "ACME-1", "Acme", "billing@acme"])
def test_customers_are_found_by_name_external_id_alias_and_email(staff_client, search):
    acme = make_customer(name="Acme", external_id="acme-1", email="billing@acme.example")
    map_external_id("Acme_One", acme, by=None)
    make_customer(name="Other")

    page = staff_client.get(url("customers_customer_changelist", q=search)).content.decode()

    assert "Acme" in page
    assert "Other" not in page


def test_customers_who_are_not_billed_stand_out(staff_client):
    running(customer=make_customer(name="Billed"))
    make_customer(name="Forgotten")

    everyone = staff_client.get(url("customers_customer_changelist")).content.decode()
    only = staff_client.get(url("customers_customer_changelist", subscribed="no")).content.decode()

    assert "none (not billed)" in everyone
    assert "Forgotten" in only
    assert "Billed" not in only.replace("not billed", "")


@pytest.mark.parametrize(("status", "found"), [("active", "Acme"), ("cancelled", "Bluebird"), ("paused", "Copper")])
def test_subscriptions_are_filtered_by_status(staff_client, status, found):
    now = timezone.now()
    running(customer=make_customer(name="Acme"))
    cancel(running(customer=make_customer(name="Bluebird")), at=now, now=now, by=None)
    pause(running(customer=make_customer(name="Copper")), at=now, now=now, by=None)

    page = staff_client.get(url("customers_subscription_changelist", status=status)).content.decode()

    assert [name for name in ("Acme", "Bluebird", "Copper") if name in page] == [found]


def test_subscriptions_are_filtered_by_the_plan_they_are_on_now(staff_client):
    basic, pro = make_plan(name="Basic"), make_plan(name="Pro")
    moved = running(customer=make_customer(name="Moved"), plan=basic)
    move(moved, pro)
    running(customer=make_customer(name="Stayed"), plan=basic)

    page = staff_client.get(url("customers_subscription_changelist", plan="Basic")).content.decode()

    assert "Stayed" in page
    assert "Moved" not in page


def test_a_subscription_page_shows_its_history_and_upcoming_periods(staff_client, staff_user):
    subscription = make_subscription(plan=make_plan(name="Basic"), trial_days=14, now=LONG_AGO)
    now = timezone.now()
    change_plan(subscription, make_plan(name="Pro"), at=now, now=now, by=staff_user, reason="Asked for it")

    page = staff_client.get(url("customers_subscription_change", subscription.pk)).content.decode()

    for words in ("Trial", "Basic v1", "Pro v1", "Asked for it", "Replaced entries (1)"):
        assert words in page
    assert page.count("2026-01-15 00:00") >= 2  # the trial's end is the next phase's beginning
    assert page.count('<li class="ch-period') == 9


def test_an_ended_subscription_has_no_upcoming_periods(staff_client):
    subscription, now = running(), timezone.now()
    cancel(subscription, at=now, now=now, by=None)

    page = staff_client.get(url("customers_subscription_change", subscription.pk)).content.decode()

    assert "No upcoming periods: the subscription has ended." in page
    assert url("customers_subscription_cancel", subscription.pk) not in page


# --- Customers ---------------------------------------------------------------------------------------


def test_a_customer_is_added_and_keeps_the_external_id(staff_client):
    answers = {"name": "Acme", "external_id": "acme", "timezone": "Europe/Berlin", "tax_treatment": "taxable"}
    assert staff_client.post(url("customers_customer_add"), answers).status_code == 302

    customer = Customer.objects.get()
    changed = {**answers, **NO_INLINES, "name": "Acme Corp", "external_id": "other", "metadata": "{}"}
    assert staff_client.post(url("customers_customer_change", customer.pk), changed).status_code == 302
    customer.refresh_from_db()
    assert (customer.name, customer.external_id, customer.timezone) == ("Acme Corp", "acme", "Europe/Berlin")


def test_a_customer_with_subscriptions_cannot_be_archived(staff_client):
    customer = running(customer=make_customer(name="Acme")).customer

    dialog = text_of(submit(staff_client, url("customers_customer_archive", customer.pk), reason="Left"))

    assert "Acme has a subscription that hasn't ended" in dialog
    assert "Left" in dialog
    customer.refresh_from_db()
    assert customer.state == "active"


def test_a_customer_is_archived_with_a_reason_and_activated_again(staff_client):
    customer = make_customer()

    submit(staff_client, url("customers_customer_archive", customer.pk), reason="Closed for good")
    customer.refresh_from_db()
    assert customer.state == "archived"
    assert "Closed for good" in staff_client.get(url("customers_customer_history", customer.pk)).content.decode()

    submit(staff_client, url("customers_customer_activate", customer.pk), reason="")
    customer.refresh_from_db()
    assert customer.state == "active"


def test_customers_are_never_deleted(staff_client):
    customer = make_customer()

    assert staff_client.post(url("customers_customer_delete", customer.pk), {"post": "yes"}).status_code == 403


def test_an_external_id_is_mapped_unless_a_customer_has_it(staff_client):
    acme = make_customer(external_id="acme")
    answers = {"customer": acme.pk, "reason": "Old app"}

    refused = staff_client.post(url("customers_customeralias_add"), answers | {"alias": "acme"}).content.decode()
    assert "This is the external customer ID of" in refused
    staff_client.post(url("customers_customeralias_add"), answers | {"alias": "ACME"})
    assert CustomerAlias.objects.get().customer == acme


@pytest.mark.parametrize("model", MODELS)
def test_an_add_form_shows_no_fields_of_saved_rows(staff_client, model):
    shown = staff_client.get(url(f"customers_{model}_add")).content.decode()
    assert "DatabaseDefault" not in shown
    assert "Created by" not in shown


def test_customers_are_imported_and_updated(staff_client, staff_user):
    make_customer(external_id="acme", name="Acme")
    rows = b"external_id,name,timezone\nacme,Acme Corp,Europe/Berlin\nnew-1,New One,UTC\n"
    upload = {"import_file": SimpleUploadedFile("customers.csv", rows), "format": "0"}

    preview = staff_client.post(url("customers_customer_import"), upload)
    confirm = preview.context["confirm_form"].initial
    staff_client.post(url("customers_customer_process_import"), confirm)

    assert dict(Customer.objects.values_list("external_id", "name")) == {"acme": "Acme Corp", "new-1": "New One"}
    history = staff_client.get(url("customers_customer_history", Customer.objects.get(external_id="acme").pk))
    assert "Imported from a file" in history.content.decode()


def test_one_invalid_row_rejects_the_file(staff_client):
    rows = b"external_id,name,timezone\nnew-1,New One,UTC\nnew-2,New Two,Mars/Olympus\n"
    upload = {"import_file": SimpleUploadedFile("customers.csv", rows), "format": "0"}

    page = staff_client.post(url("customers_customer_import"), upload)

    assert "Mars/Olympus is not a time zone" in page.content.decode()
    assert "confirm_form" not in page.context
    assert not Customer.objects.exists()


def test_the_list_is_exported_with_numbers_and_times(staff_client):
    running(customer=make_customer(name="Acme", external_id="acme"))

    file = (
        staff_client.get(url("customers_customer_changelist", q="acme", _export="csv")).getvalue().decode("utf-8-sig")
    )

    header, row = file.splitlines()
    customer = dict(zip(header.split(","), row.split(","), strict=True))
    assert customer | {
        "External customer ID": "acme", "Name": "Acme", "Email": "", "Currency": "", "Billing currency": "USD",
        "Time zone": "UTC", "Running subscriptions": "1", "Status": "Active",
    } == customer  # fmt: skip


FORMATS = [("0", "csv"), ("1", "xlsx")]


@pytest.mark.parametrize(("number", "extension"), FORMATS)
def test_the_export_of_customers_is_imported_again_without_a_change(staff_client, number, extension):
    running(customer=make_customer(name="=Acme; “Berlin”", external_id="acme", contact="'+49 30, Ada", net_days=14))
    recipients = {"email_to": ["a@cafe.example", "b@cafe.example"], "email_cc": ["c@cafe.example"]}
    cafe = {"name": "Café", "currency": "EUR", "timezone": "Europe/Paris", "tax_id": "FR-1", "receives_email": False}
    make_customer(external_id="cafe\u0301", **cafe, **recipients)
    before = list(Customer.objects.order_by("pk").values())
    answer = staff_client.get(url("customers_customer_changelist", _export=extension))
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    page = upload(staff_client, f"customers.{extension}", content, number)
    assert [row.import_type for row in page.context["result"].rows] == ["skip", "skip"]
    staff_client.post(url("customers_customer_process_import"), page.context["confirm_form"].initial)
    assert list(Customer.objects.order_by("pk").values()) == before


def upload(client, name, content, number="0"):
    file = {"import_file": SimpleUploadedFile(name, content), "format": number}
    return client.post(url("customers_customer_import"), file)


@pytest.mark.parametrize(
    "content",
    [
        "external_id;name;timezone\nacme;Zürich, Inc;Europe/Zurich\n".encode(),
        "sep=;\r\nExternal customer ID;Name;Time zone\r\nacme;Zürich, Inc;Europe/Zurich\r\n".encode("cp1252"),
        'External Id,NAME,time_zone\nacme,"Zürich, Inc",Europe/Zurich\n'.encode("utf-8-sig"),
        "External customer ID\tName\tTime zone\nacme\tZürich, Inc\tEurope/Zurich\n".encode("utf-16"),
    ],
)
def test_the_separator_and_the_encoding_of_a_file_are_detected(staff_client, content):
    page = upload(staff_client, "customers.csv", content)
    staff_client.post(url("customers_customer_process_import"), page.context["confirm_form"].initial)
    customer = Customer.objects.get()
    assert (customer.external_id, customer.name, customer.timezone) == ("acme", "Zürich, Inc", "Europe/Zurich")


def test_recipients_of_emails_are_imported(staff_client):
    header = "External ID,Name,Send emails to,Copies to,Send emails\n"
    page = upload(staff_client, "a.csv", f'{header}acme,Acme,"a@acme.example; b@acme.example",,No\n'.encode())
    staff_client.post(url("customers_customer_process_import"), page.context["confirm_form"].initial)
    acme = Customer.objects.get()
    assert (acme.email_to, acme.email_cc) == (["a@acme.example", "b@acme.example"], [])
    assert not acme.receives_email
    for row, message in (
        ("acme,Acme,a@acme.example,,perhaps", "“perhaps” is neither yes nor no."),
        ("acme,Acme,not an address,,yes", "Enter a valid email address"),
    ):
        assert message in upload(staff_client, "a.csv", f"{header}{row}\n".encode()).content.decode()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("External customer ID,Nmae", "Unknown columns: Nmae."),
        ("Name,Email", "The file has no column External customer ID"),
        ("External customer ID,name,Name", "These columns come twice: Name."),
    ],
)
def test_a_column_that_cannot_be_read_is_named(staff_client, header, message):
    page = upload(staff_client, "customers.csv", f"{header}\n{header}\n".encode())
    assert message in page.content.decode()
    assert not Customer.objects.exists()


def test_staff_with_view_permission_only_see_no_buttons_and_cannot_act():
    client, subscription = as_viewer("customers"), running()
    page = client.get(url("customers_subscription_change", subscription.pk))

    assert page.status_code == 200
    for verb in ("cancel", "change_plan", "pause"):
        address = url(f"customers_subscription_{verb}", subscription.pk)
        assert address not in page.content.decode()
        assert submit(client, address, when="now", reason="x").status_code == 403
    for verb in ("archive", "subscribe"):
        assert (
            submit(client, url(f"customers_customer_{verb}", subscription.customer_id), reason="x").status_code == 403
        )
    assert client.get(url("customers_customer_import")).status_code == 403
    assert get_phases(subscription).count() == 1


def test_staff_without_a_view_permission_see_and_export_nothing():
    client = Client()
    client.force_login(make_user())

    for model in MODELS:
        assert client.get(url(f"customers_{model}_changelist")).status_code == 403
        assert client.get(url(f"customers_{model}_changelist", _export="csv")).status_code == 403
