# One image for web, worker, beat and migrations; `compose.yaml` sets the command. `make pin-images` writes the digests.
FROM python:3.13.9-slim-trixie AS packages

COPY requirements.txt .
RUN python -m venv /srv/venv && /srv/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt \
    && /srv/venv/bin/pip uninstall --yes pip


FROM python:3.13.9-slim-trixie

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 STATIC_ROOT=/srv/static DATA_DIR=/srv/data PATH=/srv/venv/bin:$PATH
WORKDIR /srv/app

# The numbers are fixed, so that volumes and `compose.yaml` can name them. The folders are mounted there.
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid app --no-create-home --shell /usr/sbin/nologin app \
    && install -d -o app -g app /srv/data /certs/ca /certs/postgres /certs/redis /backups

COPY --from=packages /srv/venv /srv/venv
COPY manage.py pyproject.toml ./
COPY config config
COPY catalog catalog
COPY customers customers
COPY events events
COPY billing billing
COPY templates templates
COPY docs/api.md docs/

# Collecting static files needs the settings but no service. DEBUG=0 selects the storage of deployments.
RUN DEBUG=0 SECRET_KEY=only-while-building DATABASE_URL=postgresql:///none python manage.py collectstatic --noinput -v0
USER 10001:10001

EXPOSE 8000
CMD ["granian", "config.rsgi:application", "--interface", "rsgi", "--http", "1", "--no-ws", "--host", "0.0.0.0", \
     "--port", "8000", "--workers", "2", "--backpressure", "2000", \
     "--respawn-failed-workers", "--workers-kill-timeout", "10"]
