"""`manage.py demo`: the whole product with a company's data in it, from its catalog to a printed invoice."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from billing.demo import running, telling
from billing.demo.access import open_access
from billing.demo.catalog import make_catalog
from billing.demo.clients import make_customers, make_subscriptions, story_told
from billing.demo.company import make_company
from billing.demo.conditions import make_conditions
from billing.demo.mistakes import late_events, mistakes, repeats
from billing.demo.sending import Sender
from billing.demo.settling import settle_invoices
from billing.demo.story import COMPANY, Story
from billing.demo.usage import all_usage
from billing.explanation.text import format_invoice
from billing.money import format_amount
from config.server.problems import StartupProblem
from config.server.supervisor import running_services

INTERRUPTED = 130
Tell = Callable[[int], None]


class Command(BaseCommand):
    """Start web, worker and beat, fill them with a demo company, bill its last month, and go on serving.

    A second run adds only what happened since the first. With --once it stops everything after the print.
    """

    help = __doc__
    console: Console

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop and exit 0 after the print")
        parser.add_argument("--port", type=int, default=settings.PORT, help="the first port to try (PORT)")

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("SECRET_KEY"):
            raise StartupProblem(
                "SECRET_KEY is set, so this is a deployment, and the demo would put its customers among yours: "
                "run it without SECRET_KEY, on a database of its own."
            )
        os.environ.setdefault("COMPANY_NAME", COMPANY)
        self.console = Console(highlight=False, soft_wrap=True)
        try:
            self.serve(options["port"], once=options["once"])
        except KeyboardInterrupt:
            self.say("Stopped.")
            raise SystemExit(INTERRUPTED) from None

    def serve(self, port: int, *, once: bool) -> None:
        """Run the services for as long as the demo lasts."""
        begun = time.monotonic()
        logs = settings.DATA_DIR / "logs"
        self.say(f"Starting PostgreSQL, web, worker and beat; their logs are in {logs}")
        running.forget_missed_schedules(timezone.now())
        with running_services(port, log_dir=logs) as services:
            if services.port != port:
                self.say(f"Port {port} is taken; using {services.port}.")
            self.say(f"They answer after {time.monotonic() - begun:.0f} s.")
            self.play(services.base_url)
            self.say(f"\nReady after {time.monotonic() - begun:.0f} s.")
            if not once:
                self.say("Ctrl-C stops it; the data stays.")
                services.wait()
        self.say("Stopped.")

    def play(self, base_url: str) -> None:
        """Make the company, send its usage, bill it, and say what there is to see."""
        now = timezone.now()
        access, owner = open_access(settings.DATA_DIR, now=now)
        story = story_told(now)
        with Sender(base_url, access.api_key) as sender:
            self.fill(sender, story, owner)
            self.bill(owner)
            late = late_events(story)
            sender.send(late)
        running.wait_until_counted()
        self.show_invoice()
        self.say(telling.ways_in(base_url, access, settings.DATA_DIR / "logs"))
        self.say("")
        self.say(telling.what_waits(mistakes(story), len(late)))

    def fill(self, sender: Sender, story: Story, owner: User) -> None:
        """Make company, catalog and customers, send the usage up to now with its mistakes, then subscribe.

        Subscribing comes once all is counted, so that a run of the schedule finds nothing to bill too early.
        """
        make_company(by=owner)
        plans = make_catalog(story, by=owner)
        make_customers(story, by=owner)
        make_conditions(story, now=timezone.now(), by=owner)
        usage = all_usage(story, until=timezone.now())
        with self.progress("Sending usage to the API", len(usage)) as tell:
            sent = sender.send(usage, done=tell)
        for mistake in mistakes(story):
            sent += sender.send(mistake.events)
        sender.send_again(repeats(usage))
        sender.make_refused_requests()
        self.say(f"{sent:,} events sent, {len(usage):,} there in all.")
        with self.countdown("Counting the rest of it") as tell:
            running.wait_until_counted(tell)
        make_subscriptions(story, plans, by=owner)

    def bill(self, owner: User) -> None:
        """Bill what is due and say what came of it."""
        with self.countdown("Billing the periods that are over") as tell:
            run = running.bill(now=timezone.now(), by=owner, tell=tell)
        settle_invoices(now=timezone.now(), by=owner)
        if run is None:
            self.say("Nothing is due that wasn't billed before.")
        else:
            amounts = ", ".join(format_amount(Decimal(amount), currency) for currency, amount in run.amounts.items())
            self.say(f"{run.invoices_made} invoices for {run.done} subscriptions: {amounts}.")

    def show_invoice(self) -> None:
        """Print one invoice of the last period that is over, each line with what it was worked out from."""
        invoice = running.invoice_to_print(now=timezone.now())
        if invoice is not None:
            self.say(f"\n{format_invoice(invoice)}")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Tell]:
        """Show a bar that is told how many more are done."""
        with self.bar() as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.advance(task, count)

    @contextmanager
    def countdown(self, title: str) -> Iterator[Tell]:
        """Show a bar that is told how many are left; the first word of it is the whole."""
        with self.bar() as bar:
            task = bar.add_task(title, total=0)

            def tell(left: int) -> None:
                total = max(bar.tasks[task].total or 0, left)
                bar.update(task, total=total, completed=total - left)

            yield tell

    def bar(self) -> Progress:
        columns = (TextColumn("{task.description:36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self.console)
