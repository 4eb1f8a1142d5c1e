"""The WSGI entry point that Granian serves. Refuses to start a deployment whose SECRET_KEY could be guessed."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

from config.server.checks import refuse_guessable_secret  # noqa: E402  settings are there only now

refuse_guessable_secret()
