"""Write the secrets that the compose files mount, with random passwords. It needs only Python: `make compose-secrets`.

DATABASE_HOSTS and REDIS_HOST name the servers if they aren't in `compose.yaml`: DATABASE_HOSTS=db1:5432,db2:5432.

The folder is closed to other users of the machine. The files in it are open, because each container reads them as its
own user.
"""

import os
import secrets
import sys
from pathlib import Path

CA = "/certs/ca/ca.crt"


def write_secrets(folder: Path, *, database_hosts: str = "postgres:5432", redis_host: str = "redis") -> list[str]:
    """Write the secrets that don't exist yet; return their names. Existing ones stay: PostgreSQL keeps its password.

    Of several hosts of the database, separated by commas, connections choose the one that can be written to.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    passwords = ("postgres_password", "postgres_app_password", "redis_password", "rabbitmq_password")
    owner, application, redis, rabbitmq = (_read_or_make(folder, name) for name in passwords)
    primary = "target_session_attrs=read-write&" if "," in database_hosts else ""
    database = f"@{database_hosts}/countinghouse?{primary}sslmode=verify-full&sslrootcert={CA}"
    values = {
        "secret_key": secrets.token_urlsafe(64),
        "postgres_password": owner,
        "postgres_app_password": application,
        "redis_password": redis,
        "rabbitmq_password": rabbitmq,
        "database_url": f"postgresql://countinghouse_app:{application}{database}",
        "database_owner_url": f"postgresql://countinghouse:{owner}{database}",
        "redis_url": f"rediss://:{redis}@{redis_host}:6379/0?ssl_cert_reqs=required&ssl_ca_certs={CA}",
    }
    missing = [name for name in values if not (folder / name).exists()]
    for name in missing:
        (folder / name).write_text(values[name])
        (folder / name).chmod(0o444)
    return missing


def _read_or_make(folder: Path, name: str) -> str:
    path = folder / name
    return path.read_text().strip() if path.exists() else secrets.token_urlsafe(32)


if __name__ == "__main__":
    hosts = {name.lower(): os.environ[name] for name in ("DATABASE_HOSTS", "REDIS_HOST") if os.environ.get(name)}
    written = write_secrets(Path(sys.argv[1]), **hosts)
    print(f"Written: {', '.join(written)}." if written else "All secrets exist already.")  # noqa: T201  a command
