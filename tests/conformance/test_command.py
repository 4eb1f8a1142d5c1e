"""`manage.py conformance` prints the result of every operation and fails if a core vector fails."""

import json
import os
import secrets
import subprocess
import sys
from io import StringIO
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command

from tests.conformance.driver import run
from tests.conformance.files import OWN_VECTORS, read
from tests.owner import owner_url


def vector(**changes):
    return {
        "id": "one",
        "op": "charge",
        "profile": "core",
        "inputs": {"model": {"type": "per_unit", "unit_amount": "2"}, "quantity": "3"},
        "policy": {},
        "expected": {"amount": "6"},
        **changes,
    }


@pytest.fixture
def folder(tmp_path):
    def write(*vectors, category="pricing"):
        content = {"category": category, "vectors": vectors}
        (tmp_path / f"{category}.json").write_text(json.dumps(content))
        return tmp_path

    return write


def test_the_table_lists_operations_and_models(folder):
    out = StringIO()
    call_command("conformance", str(folder(vector())), stdout=out)
    assert out.getvalue().splitlines()[1].split() == ["pricing", "charge", "per_unit", "1", "0", "0", "0"]
    assert out.getvalue().splitlines()[-1] == "1 passed, 0 failed, 0 not offered, 0 by rule"


@pytest.mark.slow
def test_the_projects_own_vectors_are_the_default_and_leave_nothing_behind(fresh_database_url):
    """A process of its own, on a database that isn't even migrated."""
    done = conformance(fresh_database_url)
    assert "invoices invoice" in done.stdout
    assert "aggregation aggregate_windows unique_count" in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    with psycopg.connect(fresh_database_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        left = connection.execute("SELECT datname FROM pg_database WHERE datname LIKE '%_conformance'").fetchall()
    assert left == []


@pytest.mark.slow
def test_a_user_without_permission_to_create_databases_gets_an_explanation(fresh_database_url, tmp_path):
    role = f"reader_{secrets.token_hex(4)}"
    with psycopg.connect(owner_url(fresh_database_url), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN".encode())
        parts = urlsplit(fresh_database_url)
        reader_url = urlunsplit(parts._replace(netloc=f"{role}@{parts.netloc.rpartition('@')[2]}"))
        done = conformance(reader_url, DATABASE_OWNER_URL=reader_url)
        connection.execute(f"DROP ROLE {role}".encode())
    assert done.returncode == 1
    assert "which the server refused to make" in done.stderr
    assert "Traceback" not in done.stderr


def conformance(database_url, **variables):
    """Run the command in a terminal."""
    command = [sys.executable, "manage.py", "conformance"]
    environment = os.environ | {"DATABASE_URL": database_url} | variables
    root = OWN_VECTORS.parents[2]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(
    "broken",
    [
        {"expected": {"amount": "6.01"}},
        {"expected": {"error": "quantity_out_of_range"}},
        {"op": "guess"},
        {"inputs": {"model": {"type": "per_unit"}}},
    ],
)
def test_a_failed_core_vector_fails_the_command_and_shows_the_result(folder, broken):
    out = StringIO()
    with pytest.raises(CommandError, match="1 core vectors failed"):
        call_command("conformance", str(folder(vector(**broken))), stdout=out)
    assert "Failed (core) one: expected" in out.getvalue()


def test_a_failed_variant_is_shown_and_doesnt_fail_the_command(folder):
    out = StringIO()
    call_command("conformance", str(folder(vector(profile="variant", expected={"amount": "7"}))), stdout=out)
    assert "Failed (variant) one" in out.getvalue()


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"op": "charge_blocks"}, "not offered", "charge_blocks: "),
        ({"inputs": {"model": {"type": "auction"}}}, "not offered", "model auction: "),
        ({"profile": "variant", "policy": {"colour": "blue"}}, "by rule", "colour=blue: "),
    ],
)
def test_vectors_that_arent_run_are_listed_and_dont_count_as_passed(folder, changes, status, reason):
    out = StringIO()
    call_command("conformance", str(folder(vector(**changes))), stdout=out)
    assert f"{status.capitalize()} (1): {reason}" in out.getvalue()
    assert "0 passed, 0 failed" in out.getvalue()


def test_an_unused_input_is_listed(folder):
    out = StringIO()
    inputs = {**vector()["inputs"], "colour": "blue", "shape": None}
    call_command("conformance", str(folder(vector(inputs=inputs))), stdout=out)
    assert "Passed, with unread inputs (1): pricing charge: colour" in out.getvalue()


def test_profile_and_policy_are_optional(folder):
    short = vector()
    del short["profile"], short["policy"]
    [outcome] = run(read(folder(short))).outcomes
    assert (outcome.status, outcome.profile) == ("passed", "core")


def test_subfolders_are_read(tmp_path):
    for name in ("shared", "heldout"):
        (tmp_path / name).mkdir()
        content = {"category": "pricing", "vectors": [vector()]}
        (tmp_path / name / "pricing.json").write_text(json.dumps(content))
    out = StringIO()
    call_command("conformance", str(tmp_path), stdout=out)
    assert out.getvalue().endswith("2 passed, 0 failed, 0 not offered, 0 by rule\n")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No vector files"),
        ("{", "pricing.json can't be read: Expecting property name"),
        ("[]", "hold no vectors"),
        ({"category": "pricing"}, "hold no vectors"),
        ({"category": "pricing", "vectors": []}, "hold no vectors"),
        ({"category": "weather", "vectors": []}, "is of category weather"),
        ({"category": "pricing", "schema": "2", "vectors": []}, "is of schema 2"),
    ],
)
def test_an_unreadable_file_is_refused_before_any_vector_runs(tmp_path, content, message):
    if content is not None:
        text = content if isinstance(content, str) else json.dumps(content)
        (tmp_path / "pricing.json").write_text(text)
    out = StringIO()
    with pytest.raises(CommandError, match=message):
        call_command("conformance", str(tmp_path), stdout=out)
    assert out.getvalue() == ""


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("one", "it has no op"),
        (vector(op=None), "its op is of the wrong type"),
        (vector(expected={}), "it expects nothing"),
        (vector(profile="vital"), "its profile is vital"),
        (vector(policy=[]), "its policy is no object"),
    ],
)
def test_a_malformed_vector_doesnt_fail_the_others(folder, broken, problem):
    out = StringIO()
    with pytest.raises(CommandError, match="1 core vectors failed"):
        call_command("conformance", str(folder(broken, vector(id="two"))), stdout=out)
    assert f"not in the format: {problem}" in out.getvalue()
    assert "1 passed, 1 failed" in out.getvalue()


def test_a_files_oddities_are_reported(folder):
    place = folder(vector())
    (place / "manifest.json").write_text("{}")
    (place / "short.json").write_text(json.dumps({"category": "pricing", "count": 2, "vectors": [vector(id="two")]}))
    out, err = StringIO(), StringIO()
    call_command("conformance", str(place), stdout=out, stderr=err)
    assert "manifest.json is no file of vectors, and was passed over" in err.getvalue()
    assert "short.json says that it holds 2 vectors, and holds 1" in err.getvalue()
    assert "2 passed, 0 failed" in out.getvalue()


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(CommandError, match="nowhere"):
        call_command("conformance", str(tmp_path / "nowhere"))
