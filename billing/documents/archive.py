"""Many invoices as one ZIP file, written while it is sent, so that memory doesn't grow with the number."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import batched
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from billing.documents.invoices import PARTS, RELATED, file_name, invoice_pdf
from billing.models import Invoice
from billing.models.company import seller

MOST_DOCUMENTS = 500
AT_ONCE = 25


class _Outbox:
    """A file that can only be written to, and gives away what was written."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self.parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)


def zipped(invoice_ids: Sequence[int], *, site_url: str = "") -> Iterator[bytes]:
    """Give a ZIP of the invoices' PDFs piece by piece, in the order of the ids. The same invoices, the same bytes.

    At most MOST_DOCUMENTS ids are taken, otherwise `ValueError`: a PDF takes some hundredths of a second.
    """
    if len(invoice_ids) > MOST_DOCUMENTS:
        raise ValueError(f"At most {MOST_DOCUMENTS} documents go into one archive")
    return _pieces(invoice_ids, site_url)


def _pieces(invoice_ids: Sequence[int], site_url: str) -> Iterator[bytes]:
    outbox, company = _Outbox(), seller()
    with ZipFile(outbox, "w", ZIP_DEFLATED) as archive:
        for invoice in _invoices(invoice_ids):
            pdf = invoice_pdf(invoice, site_url=site_url, sold_by=company)
            archive.writestr(_entry(file_name(invoice), invoice.finalized_at or invoice.computed_at), pdf)
            yield outbox.take()
    yield outbox.take()


def _invoices(invoice_ids: Iterable[int]) -> Iterator[Invoice]:
    """Read the invoices with all that their documents say, a few at a time."""
    for some in batched(invoice_ids, AT_ONCE):
        rows = Invoice.objects.select_related(*RELATED).prefetch_related(*PARTS).in_bulk(some)
        yield from (rows[pk] for pk in some if pk in rows)


def _entry(name: str, made_at: datetime) -> ZipInfo:
    entry = ZipInfo(name, made_at.timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    return entry
