"""The entry point that Granian serves: `granian --interface rsgi config.rsgi:application`.

A deployment with a guessable SECRET_KEY doesn't start.
"""

import os
import resource

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

handler = get_wsgi_application()

from config.server.checks import refuse_guessable_secret  # noqa: E402  needs the settings, which are set up above
from config.server.front import Front  # noqa: E402

refuse_guessable_secret()
_, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # each connection is one
application = Front(handler)
