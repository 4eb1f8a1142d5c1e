"""`manage.py demo` runs the product with the data of a demo company, from its catalog to a printed invoice."""

import os
import time
from collections import defaultdict
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

from billing.demo import summary, worker
from billing.demo.access import open_access
from billing.demo.catalog import make_catalog
from billing.demo.company import make_company
from billing.demo.conditions import make_conditions
from billing.demo.customers import load_timeline, make_customers, make_subscriptions
from billing.demo.mistakes import list_late_events, list_mistakes, list_repeats
from billing.demo.payments import settle_invoices
from billing.demo.reminders import make_reminders
from billing.demo.sender import Sender
from billing.demo.timeline import COMPANY, Timeline
from billing.demo.usage import list_usage
from billing.explanation.text import format_invoice
from billing.money import format_amount
from config.server.problems import StartupProblem
from config.server.supervisor import running_services

INTERRUPTED = 130
Report = Callable[[int], None]


class Command(BaseCommand):
    """Start the services with the data of a demo company, bill its last month, and keep serving.

    A second run adds only the usage since the first run. With --once, it stops after printing the invoice.
    """

    help = __doc__
    console: Console

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop after printing the invoice")
        parser.add_argument("--port", type=int, default=settings.PORT, help="the first port to try (PORT)")

    def handle(self, *args: Any, **options: Any) -> None:
        if os.environ.get("SECRET_KEY"):
            raise StartupProblem(
                "SECRET_KEY is set, so this is a deployment, and the demo would add its customers to yours. "
                "Run the demo without SECRET_KEY, on a separate database."
            )
        os.environ.setdefault("COMPANY_NAME", COMPANY)
        os.environ.setdefault("SELF_TEST", "on")
        self.console = Console(highlight=False, soft_wrap=True)
        try:
            self.serve(options["port"], once=options["once"])
        except KeyboardInterrupt:
            self.say("Stopped.")
            raise SystemExit(INTERRUPTED) from None

    def serve(self, port: int, *, once: bool) -> None:
        """Run the services until the demo is stopped."""
        started_at = time.monotonic()
        logs = settings.DATA_DIR / "logs"
        self.say(f"Starting PostgreSQL, web, worker and beat. Logs: {logs}")
        worker.forget_missed_schedules(timezone.now())
        with running_services(port, log_dir=logs) as services:
            if services.port != port:
                self.say(f"Port {port} is in use. Using port {services.port} instead.")
            self.say(f"Services are up after {time.monotonic() - started_at:.0f} s.")
            self.load_and_bill(services.base_url)
            self.say(f"\nReady after {time.monotonic() - started_at:.0f} s.")
            if not once:
                self.say("Press Ctrl-C to stop. The data is kept.")
                services.wait()
        self.say("Stopped.")

    def load_and_bill(self, base_url: str) -> None:
        """Create the company, send its usage, bill it, and print the summary."""
        now = timezone.now()
        access, owner = open_access(settings.DATA_DIR, now=now)
        timeline = load_timeline(now)
        with Sender(base_url, access.api_key) as sender:
            self.load_data(sender, timeline, owner)
            self.bill(owner)
            late = list_late_events(timeline)
            sender.send(late)
        worker.wait_until_counted()
        self.show_invoice()
        self.say(summary.describe_access(base_url, access, settings.DATA_DIR / "logs"))
        self.say("")
        self.say(summary.describe_problems(list_mistakes(timeline), len(late)))

    def load_data(self, sender: Sender, timeline: Timeline, owner: User) -> None:
        """Create company, catalog and customers, send their usage with its mistakes, and then subscribe the customers.

        The subscriptions are created after all usage is counted, so that a scheduled run doesn't bill too early.
        """
        make_company(by=owner)
        plans = make_catalog(timeline, by=owner)
        make_customers(timeline, by=owner)
        make_conditions(timeline, now=timezone.now(), by=owner)
        usage = list_usage(timeline, until=timezone.now())
        with self.progress("Sending usage to the API", len(usage)) as report:
            sent = sender.send(usage, done=report)
        for mistake in list_mistakes(timeline):
            sent += sender.send(mistake.events)
        sender.send_again(list_repeats(usage))
        sender.make_refused_requests()
        self.say(f"{sent:,} events sent, {len(usage):,} in total.")
        with self.countdown("Counting the usage") as report:
            worker.wait_until_counted(report)
        make_subscriptions(timeline, plans, by=owner)

    def bill(self, owner: User) -> None:
        """Bill everything that is due, and print the totals."""
        with self.countdown("Billing completed periods") as report:
            runs = worker.bill(now=timezone.now(), by=owner, report=report)
        settle_invoices(now=timezone.now(), by=owner)
        make_reminders(now=timezone.now(), by=owner)
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for currency, amount in (pair for run in runs for pair in run.amounts.items()):
            totals[currency] += Decimal(amount)
        amounts = ", ".join(format_amount(amount, currency) for currency, amount in sorted(totals.items()))
        count = sum(run.invoices_made for run in runs)
        self.say(f"{count} invoices: {amounts}." if count else "There is nothing new to bill.")

    def show_invoice(self) -> None:
        """Print one invoice of the last completed period, each line with its calculation."""
        invoice = worker.find_printed_invoice(now=timezone.now())
        if invoice is not None:
            self.say(f"\n{format_invoice(invoice, now=timezone.now())}")

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, total: int) -> Iterator[Report]:
        """Show a progress bar, and yield a function that adds to the completed number."""
        with self.bar() as bar:
            task = bar.add_task(title, total=total)
            yield lambda count: bar.advance(task, count)

    @contextmanager
    def countdown(self, title: str) -> Iterator[Report]:
        """Show a progress bar, and yield a function that sets the remaining number. The first number is the total."""
        with self.bar() as bar:
            task = bar.add_task(title, total=0)

            def report(remaining: int) -> None:
                total = max(bar.tasks[task].total or 0, remaining)
                bar.update(task, total=total, completed=total - remaining)

            yield report

    def bar(self) -> Progress:
        columns = (TextColumn("{task.description:36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        return Progress(*columns, console=self.console)
