"""Write the secrets that `compose.yaml` mounts, with random passwords. It needs only Python: `make compose-secrets`.

The folder is closed to other users of the machine. The files in it are open, because each container reads them as its
own user.
"""

import secrets
import sys
from pathlib import Path

CA = "/certs/ca/ca.crt"


def write_secrets(folder: Path) -> list[str]:
    """Write the secrets that don't exist yet; return their names. Existing ones stay: PostgreSQL keeps its password."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    owner, application, redis = (
        _read_or_make(folder, name) for name in ("postgres_password", "postgres_app_password", "redis_password")
    )
    database = f"@postgres:5432/countinghouse?sslmode=verify-full&sslrootcert={CA}"
    values = {
        "secret_key": secrets.token_urlsafe(64),
        "postgres_password": owner,
        "postgres_app_password": application,
        "redis_password": redis,
        "database_url": f"postgresql://countinghouse_app:{application}{database}",
        "database_owner_url": f"postgresql://countinghouse:{owner}{database}",
        "redis_url": f"rediss://:{redis}@redis:6379/0?ssl_cert_reqs=required&ssl_ca_certs={CA}",
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
    written = write_secrets(Path(sys.argv[1]))
    print(f"Written: {', '.join(written)}." if written else "All secrets exist already.")  # noqa: T201  a command
