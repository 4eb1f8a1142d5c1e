"""The word check reports discouraged phrases wherever people read text, and nothing else."""

import pytest

from tests.words import ROOT, check, checked_files, main, read_rules


def hits(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    return [(hit.line, hit.phrase, hit.replacement) for hit in check(path, read_rules())]


@pytest.mark.parametrize(
    ("name", "content", "line", "phrase"),
    [
        ("page.html", "<h1>Drafts</h1>\n<p>What they come to</p>", 2, "come to"),
        ("page.html", '<a class="door" title="Work it out anew">Go</a>', 1, "Work it out anew"),
        ("page.html", '{% include "empty.html" with text="Nobody may change it" %}', 1, "Nobody may"),
        ("forms.py", 'field = CharField(help_text="Empty: as the plan says.")', 1, "Empty:"),
        ("errors.py", 'raise Refused(f"The credit of {name} was taken back.")', 1, "taken back"),
        ("long.py", 'text = (\n    "The total is below "\n    "zero."\n)', 2, "below zero"),
        ("views.py", '"""Views.\n\nThe draft is held\nback.\n"""', 3, "held back"),
        ("views.py", "x = 1  # worked out before", 1, "worked out"),
        ("views.py", "x = 1\n# finalized by\n# itself", 2, "by itself"),
        ("guide.md", "# Guide\n\nAn amount above\nzero.", 3, "above zero"),
        ("usage.sql", "select 1\n-- the rows are locked anew\n", 2, "anew"),
        ("Makefile", "lock: ## Resolve the dependencies anew\n\ttrue", 1, "anew"),
    ],
)
def test_a_discouraged_phrase_is_reported_with_its_line(tmp_path, name, content, line, phrase):
    assert [(hit[0], hit[1]) for hit in hits(tmp_path, name, content)] == [(line, phrase)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("guide.md", "It becomes to all outstanding front-door accounts; see `held back` and events/door.py."),
        ("views.py", 'mended = standing["anew"]  # the key of a table\nurl = "mending/ripe"'),
        ("page.html", '<div class="door" style="align-items: stretch">{{ row.standing }}</div>{% url "admin:mend" %}'),
        ("page.html", "<style>.door { align-items: stretch }</style><script>stretch(door)</script>Drafts on hold"),
        ("rows.sql", "select standing from billing_state -- one row per subscription"),
    ],
)
def test_names_and_plain_text_pass(tmp_path, name, content):
    assert hits(tmp_path, name, content) == []


def test_the_replacement_comes_from_the_contributors_page(tmp_path):
    assert hits(tmp_path, "guide.md", "It is worked out anew.") == [(1, "worked out anew", "recalculate")]


def test_migrations_tests_and_hidden_folders_are_not_checked(tmp_path):
    for folder in ("app", "app/migrations", "tests", ".venv"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "module.py").write_text("# anew")
    assert list(checked_files([tmp_path])) == [tmp_path / "app" / "module.py"]


def test_the_command_prints_matches_and_fails(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("Clean.\nNot any more: anew.\n")
    assert main([str(page)]) == 1
    assert capsys.readouterr().out == f"{page}:2: anew -> again, re-\n"
    page.write_text("Clean.\n")
    assert main([str(page)]) == 0
    assert main([str(tmp_path / "missing.md")]) == 2


def test_the_documentation_is_clean(capsys):
    assert main([str(ROOT / "README.md"), str(ROOT / "CHANGELOG.md"), str(ROOT / "docs")]) == 0, capsys.readouterr().out
