"""Someone who sends any SQL as the application, for example by an injection, can't rewrite what is kept from change."""

import psycopg
import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.db import DatabaseError, connection, transaction

from billing.lifecycle.finalize import finalize
from config.change_log.sealing import seal_entries
from config.db.privileges import EXCEPTIONS, restrict_application
from tests.billing.invoices import later, make_draft, make_finalized
from tests.factories import make_customer
from tests.owner import as_owner
from tests.web_server import database_url

pytestmark = pytest.mark.django_db

OWNER_ONLY = [
    "ALTER TABLE billing_invoice DISABLE TRIGGER ALL",
    "ALTER TABLE auditlog_logentry DISABLE TRIGGER USER",
    "ALTER TABLE billing_payment DROP COLUMN amount",
    "ALTER TABLE auditlog_logentry OWNER TO countinghouse_app",
    "DROP TABLE events_event",
    "DROP TRIGGER keep_change_log ON auditlog_logentry",
    "DROP FUNCTION seal_change_log(bigint)",
    "ALTER FUNCTION seal_new_changes() SECURITY INVOKER",
    "CREATE OR REPLACE FUNCTION seal_change_log(most bigint) RETURNS bigint LANGUAGE sql RETURN 0",
    "CREATE OR REPLACE FUNCTION _pgtrigger_should_ignore(trigger_name name) RETURNS boolean LANGUAGE sql RETURN true",
    "CREATE TABLE public.copied AS SELECT * FROM events_apikey",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql RETURN 1",
    "CREATE EXTENSION file_fdw",
    "CREATE ROLE mine SUPERUSER",
    "ALTER ROLE countinghouse_app SUPERUSER",
    "SET ROLE countinghouse",
    "SET session_replication_role = replica",
    "CREATE RULE nothing AS ON INSERT TO auditlog_logentry DO INSTEAD NOTHING",
    "CREATE TRIGGER mine BEFORE INSERT ON billing_payment FOR EACH ROW EXECUTE FUNCTION keep_change_log()",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'countinghouse'",
]
REWRITES = [
    "UPDATE auditlog_logentry SET changes = '{}'",
    "UPDATE auditlog_logentry SET additional_data = NULL",
    "DELETE FROM auditlog_logentry",
    "INSERT INTO config_changeseal (entry_id, content) VALUES (1, '')",
    "UPDATE config_changeseal SET number = NULL",
    "DELETE FROM config_changeseal",
    "UPDATE config_changelogcheck SET problem = ''",
    "DELETE FROM config_changelogcheck",
    "UPDATE events_event SET properties = '{}'",
    "UPDATE events_event SET event_id = 'other'",
    "UPDATE events_event SET occurred_at = now()",
    "DELETE FROM events_event",
    "UPDATE events_eventvoid SET reason = 'other'",
    "DELETE FROM events_eventvoid",
    "DELETE FROM events_knownid",
    "UPDATE events_knownid SET key = gen_random_uuid()",
    "DELETE FROM events_prunedeventid",
    "UPDATE billing_payment SET amount = 0",
    "DELETE FROM billing_payment",
    "UPDATE billing_walletentry SET amount = 0",
    "DELETE FROM billing_walletentry",
    "DELETE FROM billing_wallet",
    "DELETE FROM billing_creditgrant",
    "DELETE FROM billing_monthclosing",
    "DELETE FROM billing_numberseries",
    "DELETE FROM customers_customer",
    "DELETE FROM customers_subscriptionaddon",
    "DELETE FROM customers_subscriptionphase",
    "DELETE FROM events_apikey",
    "DELETE FROM config_personalkey",
    "DELETE FROM config_personaldataerasure",
    "INSERT INTO auth_permission (name, content_type_id, codename) VALUES ('x', 1, 'x')",
    "UPDATE django_content_type SET model = 'x'",
    "DELETE FROM django_migrations",
]


@pytest.fixture(scope="module")
def application(django_db_setup, django_db_blocker):
    """Yield a connection as web and workers have, in which nothing is committed."""
    with django_db_blocker.unblock():
        url = database_url()
    with psycopg.connect(url) as link:
        yield link
        link.rollback()


def test_the_application_is_neither_superuser_nor_owner_nor_member_of_another_role(application):
    columns = "rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    rights = application.execute(f"SELECT {columns} FROM pg_roles WHERE rolname = current_user").fetchone()
    assert rights == (False,) * 5
    memberships = "SELECT count(*) FROM pg_auth_members WHERE member = current_user::regrole"
    assert application.execute(memberships).fetchone() == (0,)
    owned = "SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole AND relpersistence <> 't'"
    assert application.execute(owned).fetchone() == (0,)


@pytest.mark.parametrize("statement", OWNER_ONLY + REWRITES)
def test_a_statement_that_only_the_owner_may_send_is_refused(application, statement):
    refuse(application, statement)


def refuse(application, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege), application.transaction():
        application.execute(statement)


@pytest.mark.parametrize(
    "table", ["events_event", "billing_invoice", "auditlog_logentry", "config_changeseal", "auth_user"]
)
def test_the_setting_of_tests_empties_no_table(application, table):
    refuse(application, f"SET countinghouse.allow_truncate = 'on'; TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET total = 0",
        "UPDATE billing_invoiceline SET amount = 0",
        "DELETE FROM billing_invoiceline",
        "DELETE FROM billing_invoice",
    ],
)
def test_issued_invoices_stay_as_they_are_in_a_session_that_asks_to_ignore_triggers(statement):
    make_finalized("100")
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('pgtrigger.ignore', array_agg(tgname)::text, true) FROM pg_trigger")
        with pytest.raises(DatabaseError, match=r"never change|can't be deleted|violates"), transaction.atomic():
            cursor.execute(statement)


def test_no_entry_of_the_change_log_is_chained_twice_or_out_of_place_by_calling_the_function():
    make_customer()
    with connection.cursor() as cursor:
        cursor.execute("SELECT seal_change_log(1000)")
        cursor.execute("SELECT seal_change_log(1000), seal_change_log(0)")
        assert cursor.fetchone()[0] == 0
    assert seal_entries() == 0


def test_the_privileges_are_those_declared_and_all_named_tables_and_columns_exist():
    with as_owner():
        assert restrict_application() == []
    with connection.cursor() as cursor:
        for table, rights in EXCEPTIONS.items():
            columns = {column.name for column in connection.introspection.get_table_description(cursor, table)}
            assert set(rights.update if isinstance(rights.update, tuple) else ()) <= columns, table


def test_privileges_that_someone_added_are_taken_away_again():
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(f"GRANT ALL ON auditlog_logentry TO {settings.DATABASE_ROLE}")
        cursor.execute(f"GRANT UPDATE (properties) ON events_event TO {settings.DATABASE_ROLE}")
        cursor.execute(f"REVOKE DELETE ON events_problem FROM {settings.DATABASE_ROLE}")
        assert restrict_application() == ["auditlog_logentry", "events_event", "events_problem"]
        assert restrict_application() == []


def test_a_role_that_doesnt_exist_is_created_with_the_password_of_its_address(monkeypatch):
    role = "clerk of tests"
    monkeypatch.setattr(settings, "DATABASE_ROLE", role)
    monkeypatch.setattr(settings, "DATABASE_ROLE_PASSWORD", "it's secret")
    with as_owner(), connection.cursor() as cursor:
        assert "billing_payment" in restrict_application()
        cursor.execute("SELECT rolcanlogin, rolsuper, left(rolpassword, 14) FROM pg_authid WHERE rolname = %s", [role])
        assert cursor.fetchone() == (True, False, "SCRAM-SHA-256$")
        cursor.execute(f"SET LOCAL ROLE '{role}'")
        cursor.execute("SELECT count(*) FROM billing_payment; SELECT count(*) FROM reporting.invoices")
        cursor.execute("SET LOCAL ROLE NONE")
        assert restrict_application() == []


def test_a_deployment_that_connects_as_the_owner_is_warned(monkeypatch):
    def warnings():
        return [message.id for message in run_checks(databases=["default"]) if message.id == "config.W001"]

    monkeypatch.setattr(settings, "DEBUG", False)
    assert warnings() == []
    monkeypatch.setattr(settings, "DATABASE_ROLE", settings.DATABASE_OWNER["USER"])
    assert warnings() == ["config.W001"]
    monkeypatch.setattr(settings, "DEBUG", True)
    assert warnings() == []


def test_what_the_product_does_is_still_allowed():
    """The whole suite runs as the application's role; this is the shortest of its stories."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (settings.DATABASE_ROLE,)
    assert finalize(make_draft("100"), now=later()).number
