"""Run the web server, worker and scheduler on this machine: `manage.py serve`."""

import os
import subprocess
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from config.server.supervisor import HOST, running_services


class Command(BaseCommand):
    """Run web, worker and beat until Ctrl-C. If the port is taken, the next free port is used."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT, help="the first port to try (PORT)")
        parser.add_argument(
            "--run", metavar="COMMAND", help="run this shell command once the server responds, then stop"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        with running_services(options["port"]) as services:
            if services.port != options["port"]:
                self.stdout.write(f"Port {options['port']} on {HOST} is taken; using {services.port}.")
            self.stdout.write(f"Countinghouse is at {services.base_url}/admin/ (stop with Ctrl-C)")
            self.stdout.flush()
            if options["run"]:
                env = {**os.environ, "BASE_URL": services.base_url}
                finished = subprocess.run(options["run"], shell=True, env=env, check=False)  # noqa: S602  the operator's own command
                raise SystemExit(finished.returncode)
            services.wait()
        self.stdout.write("Stopped.")
