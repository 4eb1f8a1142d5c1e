"""Billing's own checks."""

from billing.proofs.checks.backup import LastBackup
from billing.proofs.checks.base import register_check
from billing.proofs.checks.books import Numbers, Receivables, Wallets
from billing.proofs.checks.change_log import ChangeLog
from billing.proofs.checks.invoice_lines import InvoiceLines
from billing.proofs.checks.ledger import Ledger
from billing.proofs.checks.reconciliation import AllEvents
from billing.proofs.checks.usage import Usage


def register() -> None:
    """Register the checks of every night."""
    checks = (
        Usage(),
        InvoiceLines(),
        Receivables(),
        Wallets(),
        Numbers(),
        ChangeLog(),
        AllEvents(),
        Ledger(),
        LastBackup(),
    )
    for check in checks:
        register_check(check)
