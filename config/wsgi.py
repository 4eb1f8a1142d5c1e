"""The WSGI entry point that Granian serves. A deployment with a guessable SECRET_KEY doesn't start."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()

from config.server.checks import refuse_guessable_secret  # noqa: E402  needs the settings, which are set up above

refuse_guessable_secret()
