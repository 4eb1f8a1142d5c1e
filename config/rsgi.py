"""The entry point that Granian serves: `granian --interface rsgi config.rsgi:application`.

A deployment with a guessable SECRET_KEY doesn't start.
"""

import os
import resource

import django
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

django.setup()

from config.server.checks import refuse_guessable_secret  # noqa: E402  needs the settings, which are set up above
from config.server.front import Front  # noqa: E402
from config.server.log import start_tracing  # noqa: E402

start_tracing("trace_requests")
handler = get_wsgi_application()

refuse_guessable_secret()
_, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each connection is one
application = Front(handler)
