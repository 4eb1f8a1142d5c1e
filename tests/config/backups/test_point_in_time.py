"""Point-in-time recovery, with the settings and commands of docs/backup.md."""

import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from django.conf import settings

from config.server.postgres import ROLE, EmbeddedPostgres, find_programs

pytestmark = pytest.mark.slow


def run(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as server:
        cursor = server.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def base_backup(server: EmbeddedPostgres, folder: Path) -> None:
    options = ["--pgdata", str(folder), "--checkpoint", "fast", "--wal-method", "stream"]
    program = [str(find_programs() / "pg_basebackup"), *options, "--username", ROLE, "--host", str(server.pgdata)]
    subprocess.run(program, check=True, capture_output=True)


def give_to_owner_of(path: Path, *folders: Path) -> None:
    """Let the server's account, which isn't root's, write to the folders."""
    owner = path.stat()
    for folder in folders:
        for entry in (folder, *folder.rglob("*")):
            shutil.chown(entry, owner.st_uid, owner.st_gid)


def test_a_mistake_is_undone_by_going_back_to_the_moment_before_it(tmp_path: Path):
    archive = tmp_path / "archive"
    archive.mkdir()
    command = f"'test ! -f {archive}/%f && cp %p {archive}/%f'"
    archiving = {"archive_mode": "on", "archive_command": command, "archive_timeout": "60", "wal_level": "replica"}
    with EmbeddedPostgres(tmp_path / "first", settings=archiving) as url:
        server = EmbeddedPostgres(tmp_path / "first")
        give_to_owner_of(server.pgdata, archive)
        run(url, "CREATE TABLE invoices AS SELECT 1 AS number")
        base_backup(server, tmp_path / "base")
        run(url, "INSERT INTO invoices VALUES (2)")
        ((moment,),) = run(url, "SELECT clock_timestamp()::text")
        run(url, "SELECT pg_sleep(0.1)")
        run(url, "DELETE FROM invoices")
        run(url, "SELECT pg_switch_wal()")

    recovered = EmbeddedPostgres(
        tmp_path / "second",
        settings={
            "restore_command": f"'cp {archive}/%f %p'",
            "recovery_target_time": f"'{moment}'",
            "recovery_target_action": "'promote'",
        },
    )
    recovered.folder.mkdir()
    (tmp_path / "base").rename(recovered.pgdata)
    (recovered.pgdata / "recovery.signal").touch()
    give_to_owner_of(tmp_path / "first" / "data", recovered.pgdata)
    with recovered as url:
        assert run(url, "SELECT number FROM invoices ORDER BY 1") == [(1,), (2,)]


def test_the_documentation_has_the_commands_of_this_test():
    text = (Path(settings.BASE_DIR) / "docs" / "backup.md").read_text()
    assert "archive_command = 'test ! -f /archive/%f && cp %p /archive/%f'" in text
    assert "restore_command = 'cp /archive/%f %p'" in text
    assert "--checkpoint fast --wal-method stream" in text
