"""The change log is chained by hashes: whatever is changed in it afterwards is found."""

from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from threading import Event

import pytest
from auditlog.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from catalog.models import Feature
from config.audit import record_changes, recorded
from config.change_log.models import ChangeLogCheck, ChangeSeal
from config.change_log.sealing import seal_entries
from config.change_log.verifying import Anchor, AnchorRefused, verify
from config.tasks import seal_change_log, verify_change_log
from tests.config.change_log.tampering import WRITE_CHAIN_AGAIN, tamper
from tests.factories import make_customer, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def entries():
    """Return the ids of four chained entries."""
    author = make_user(email="ada@example.com")
    seal_entries()
    first = LogEntry.objects.count()
    with recorded(by=author, reason="New product"):
        for name in ("Calls", "Storage", "Seats", "Lamps"):
            Feature.objects.create(name=name, event_name=name, aggregation="count")
    assert seal_entries() == 4
    return list(LogEntry.objects.order_by("pk").values_list("pk", flat=True)[first:])


def test_the_chain_has_all_entries_in_order_and_is_intact(entries):
    result = verify()
    assert (result.problem, result.entries, result.waiting) == ("", LogEntry.objects.count(), 0)
    assert list(ChangeSeal.objects.order_by("number").values_list("entry_id", flat=True))[-4:] == entries
    assert str(result) == f"{result.entries} entries, chain intact, last hash {result.last_hash}."
    assert seal_entries() == 0


def test_an_entry_is_sealed_in_its_transaction_and_chained_within_seconds(entries):
    make_customer()
    assert verify().waiting == ChangeSeal.objects.filter(number=None).count() == 1
    assert "1 more will be chained" in str(verify())
    assert seal_change_log() == 1
    assert verify().waiting == 0


def test_entries_that_are_written_in_bulk_are_sealed(entries):
    before, after = Feature.objects.get(name="Calls"), Feature.objects.get(name="Calls")
    after.name = "API calls"
    record_changes([(before, after)])
    assert seal_entries() == 1
    assert verify().problem == ""


@pytest.mark.parametrize(
    "change",
    [
        "changes = '{\"name\": [\"None\", \"Cells\"]}'", "additional_data = NULL",
        "timestamp = timestamp - interval '1 day'",
        "object_repr = 'Other'", "actor_email = 'eve@example.com'", "cid = 'x'", "remote_addr = '192.0.2.1'",
        "action = 2", "object_pk = '1'", "content_type_id = content_type_id + 1",
    ],
)  # fmt: skip
def test_a_changed_entry_is_named(entries, change):
    number = verify().entries - 2
    tamper(f"UPDATE auditlog_logentry SET {change} WHERE id = {entries[1]}")
    assert verify().problem == f"entry {entries[1]}, number {number}, was changed after it was written."


def test_another_author_is_noticed_and_a_deleted_user_isnt_a_change(entries):
    author, other = LogEntry.objects.get(pk=entries[0]).actor, make_user()
    seal_entries()
    number = verify().entries - 4
    author.delete()
    seal_entries()
    assert verify().problem == ""
    tamper(f"UPDATE auditlog_logentry SET actor_id = {other.pk} WHERE id = {entries[0]}")
    assert verify().problem == f"entry {entries[0]}, number {number}, names another author than the one who wrote it."


def test_a_deleted_entry_is_named(entries):
    tamper(f"DELETE FROM auditlog_logentry WHERE id = {entries[1]}")
    assert verify().problem == f"entry {entries[1]}, number {verify().entries + 1}, was deleted."


def test_an_entry_that_is_deleted_with_its_seal_leaves_a_gap(entries):
    tamper(*(f"DELETE FROM {table} WHERE {key} = {entries[1]}" for table, key in TABLES))
    assert verify().problem == f"number {verify().entries + 1} is missing from the chain."


TABLES = (("auditlog_logentry", "id"), ("config_changeseal", "entry_id"))


def test_a_changed_entry_with_a_fitting_seal_doesnt_fit_the_chain(entries):
    tamper(
        f"UPDATE auditlog_logentry SET object_repr = 'Other' WHERE id = {entries[1]}",
        WRITE_CHAIN_AGAIN[1].replace("number = NULL, hash = NULL, ", "") + f" AND entry.id = {entries[1]}",
    )
    assert verify().problem.startswith(f"entry {entries[1]}, number ")
    assert verify().problem.endswith("its hash doesn't follow from the entries before it.")


def test_an_entry_that_is_written_past_the_triggers_is_named(entries):
    tamper(
        "INSERT INTO auditlog_logentry (content_type_id, object_pk, object_repr, action, timestamp, changes_text)"
        " SELECT content_type_id, object_pk, 'Forged', 1, now(), '' FROM auditlog_logentry LIMIT 1"
    )
    assert verify().problem == f"entry {LogEntry.objects.latest('pk').pk} was written past the chain."


def test_a_new_entry_that_is_deleted_before_it_is_chained_is_named(entries):
    make_customer()
    entry = LogEntry.objects.latest("pk").pk
    tamper(f"DELETE FROM auditlog_logentry WHERE id = {entry}")
    assert verify().problem == f"entry {entry}, was deleted."


def test_an_anchor_shows_that_the_end_was_cut_off(entries):
    anchor = verify().anchor
    tamper(*(f"DELETE FROM {table} WHERE {key} >= {entries[2]}" for table, key in TABLES))
    assert verify().problem == ""
    assert verify(anchor).problem == (
        f"the chain ends at number {anchor.number - 2}, before the anchor: later entries were deleted."
    )


def test_an_anchor_shows_that_the_whole_chain_was_written_again(entries):
    anchor = verify().anchor
    tamper(f"UPDATE auditlog_logentry SET object_repr = 'Other' WHERE id = {entries[1]}", *WRITE_CHAIN_AGAIN)
    assert verify().problem == ""
    assert "another hash than the anchor" in verify(anchor).problem


def test_an_old_anchor_still_fits_a_longer_chain(entries):
    anchor = verify().anchor
    make_customer()
    seal_entries()
    assert verify(anchor).problem == ""
    assert Anchor.parse(str(anchor)) == anchor


@pytest.mark.parametrize("text", ["", "12", "12:", "12:xyz", ":" + "a" * 64, "١٢:" + "a" * 64, "12:" + "A" * 64])
def test_a_malformed_anchor_is_refused(text):
    with pytest.raises(AnchorRefused):
        Anchor.parse(text)


def test_the_command_says_that_the_chain_is_intact_or_names_the_first_broken_entry(entries):
    out = StringIO()
    call_command("verify_change_log", stdout=out)
    assert "entries, chain intact, last hash" in out.getvalue()
    out = StringIO()
    call_command("verify_change_log", "--print-anchor", stdout=out)
    call_command("verify_change_log", "--anchor", out.getvalue().strip(), stdout=StringIO())
    tamper(f"UPDATE auditlog_logentry SET object_repr = 'Other' WHERE id = {entries[3]}")
    with pytest.raises(CommandError, match=rf"Broken: entry {entries[3]}, number \d+, was changed"):
        call_command("verify_change_log")
    with pytest.raises(CommandError, match="An anchor is a number"):
        call_command("verify_change_log", "--anchor", "yesterday")


def test_the_nightly_verification_keeps_its_result_and_logs_a_broken_chain(entries, caplog):
    assert verify_change_log() == verify().entries
    assert ChangeLogCheck.objects.latest().problem == ""
    tamper(f"DELETE FROM auditlog_logentry WHERE id = {entries[0]}")
    verify_change_log()
    assert "The change log was tampered with" in caplog.text
    assert "was deleted" in ChangeLogCheck.objects.latest().problem


@pytest.mark.django_db(transaction=True)
def test_transactions_that_commit_in_another_order_are_chained_once_and_never_wait():
    """The first entry is committed last, while two workers chain what is there."""
    is_written, may_commit = Event(), Event()
    before = seal_entries()

    def write_slowly():
        with transaction.atomic():
            make_customer(external_id="slow")
            is_written.set()
            assert may_commit.wait(20)
        connection.close()

    def chain():
        sealed = sum(seal_entries() for _ in range(10))
        connection.close()
        return sealed

    with ThreadPoolExecutor(4) as pool:
        slow = pool.submit(write_slowly)
        assert is_written.wait(20)
        for number in range(5):
            make_customer(external_id=f"quick-{number}")
        sealed = sum(pool.map(lambda _: chain(), range(3)))
        may_commit.set()
        slow.result(20)
    assert sealed == 5
    assert seal_entries() == 1
    last = ChangeSeal.objects.latest("number")
    assert last.number == before + 6
    assert last.entry_id == min(ChangeSeal.objects.filter(number__gt=before).values_list("entry_id", flat=True))
    assert verify().problem == ""
