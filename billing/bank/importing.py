"""Import a bank file once: its digest and the keys of its entries make repeats change nothing."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from django.contrib.auth.models import User
from django.db import connection, transaction

from billing.bank.csv_files import list_headings
from billing.bank.entries import BadBankFile, ReadEntry, keys_of
from billing.bank.reading import decode, read_bank_file, recognize
from billing.models import BankEntry, BankFileFormat, BankImport
from config.audit import recorded

IMPORT_LOCK = 7_305_053  # of PostgreSQL's advisory locks


def import_bank_file(
    content: bytes,
    file_name: str,
    *,
    file_format: BankFileFormat | None = None,
    columns: Mapping[str, str] | None = None,
    now: datetime,
    by: User | None,
) -> BankImport:
    """Import the incoming entries of a file that no earlier file had. The same file again returns its first import.

    The format is recognized if it isn't given. A CSV file without `columns` uses those of the last file with the same
    headings. Raises `BadBankFile`.
    """
    digest = hashlib.sha256(content).hexdigest()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [IMPORT_LOCK])
        existing = BankImport.objects.filter(digest=digest).first()
        if existing is not None:
            return existing
        chosen = file_format or recognize(content)
        mapping = dict(columns or {}) or (_saved_columns(content) if chosen == BankFileFormat.CSV else {})
        found = read_bank_file(content, chosen, mapping)
        keys = keys_of(found.entries)
        known = set(BankEntry.objects.filter(key__in=keys).values_list("key", flat=True))
        fresh = [(key, entry) for key, entry in zip(keys, found.entries, strict=True) if key not in known]
        imported = BankImport(
            file_name=file_name.strip()[:255] or "statement",
            digest=digest,
            format=chosen,
            columns=dict(found.columns),
            heading=found.heading,
            entries_added=len(fresh),
            entries_known=len(found.entries) - len(fresh),
            entries_skipped=found.skipped,
            imported_at=now,
            imported_by=by,
        )
        with recorded(by=by):
            imported.save()
        BankEntry.objects.bulk_create([_make_entry(imported, key, entry) for key, entry in fresh], batch_size=1000)
        return imported


def _saved_columns(content: bytes) -> dict[str, str]:
    saved = BankImport.objects.filter(heading__in=list_headings(decode(content))).first()
    if saved is None:
        raise BadBankFile("Describe the columns of this CSV file. The next file with the same headings reuses them.")
    return dict(saved.columns)


def _make_entry(imported: BankImport, key: str, entry: ReadEntry) -> BankEntry:
    return BankEntry(
        bank_import=imported,
        key=key,
        account=entry.account,
        booked_on=entry.booked_on,
        amount=entry.amount,
        currency=entry.currency,
        payer_name=entry.payer_name,
        payer_iban=entry.payer_iban,
        text=entry.text,
        reference=entry.entry_id,
    )
