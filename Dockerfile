# One image for web, worker, beat and migrations; `compose.yaml` sets the command.
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 STATIC_ROOT=/srv/static DATA_DIR=/srv/data
WORKDIR /srv/app

COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt

COPY manage.py ./
COPY config config
COPY catalog catalog
COPY customers customers
COPY events events
COPY billing billing
COPY templates templates

# Collecting static files needs the settings but no service. DEBUG=0 selects the storage of deployments.
RUN DEBUG=0 SECRET_KEY=only-while-building DATABASE_URL=postgresql:///none python manage.py collectstatic --noinput -v0 \
    && useradd --system --no-create-home app && mkdir -p /srv/data && chown app /srv/data
USER app

EXPOSE 8000
CMD ["granian", "config.wsgi:application", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", \
     "--workers", "2", "--blocking-threads", "4", "--respawn-failed-workers"]
