"""A ZIP file of many invoices, written while it is sent, so that memory doesn't grow with their number."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import batched
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from billing.documents.invoices import PARTS, RELATED, build_file_name, render_invoice
from billing.models import Invoice
from billing.models.company import seller

MOST_DOCUMENTS = 500
BATCH = 25


class _WriteBuffer:
    """A write-only file whose content can be taken out piece by piece."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self.parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Do nothing: every write is complete."""

    def close(self) -> None:
        """Do nothing: no file is open."""

    def take(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)


def stream_zip(invoice_ids: Sequence[int], *, site_url: str = "") -> Iterator[bytes]:
    """Yield a ZIP file of the invoices' PDFs in pieces, in the order of the IDs. Unchanged invoices give the same file.

    Raises `ValueError` for more than MOST_DOCUMENTS ids, because each PDF takes some hundredths of a second.
    """
    if len(invoice_ids) > MOST_DOCUMENTS:
        raise ValueError(f"At most {MOST_DOCUMENTS} documents fit into one archive")
    return _stream_pieces(invoice_ids, site_url)


def _stream_pieces(invoice_ids: Sequence[int], site_url: str) -> Iterator[bytes]:
    buffer, company = _WriteBuffer(), seller()
    joint_ids: set[int] = set()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for invoice in _load_invoices(invoice_ids):
            if invoice.joint_id in joint_ids:
                continue  # its joint invoice is in the file already
            if invoice.joint_id is not None:
                joint_ids.add(invoice.joint_id)
            pdf = render_invoice(invoice, site_url=site_url, sold_by=company)
            archive.writestr(_build_entry(build_file_name(invoice), invoice.finalized_at or invoice.computed_at), pdf)
            yield buffer.take()
    yield buffer.take()


def _load_invoices(invoice_ids: Iterable[int]) -> Iterator[Invoice]:
    """Load the invoices with the related rows of their documents, in batches."""
    for batch in batched(invoice_ids, BATCH):
        invoices = Invoice.objects.select_related(*RELATED).prefetch_related(*PARTS).in_bulk(batch)
        yield from (invoices[pk] for pk in batch if pk in invoices)


def _build_entry(name: str, made_at: datetime) -> ZipInfo:
    entry = ZipInfo(name, made_at.timetuple()[:6])
    entry.compress_type = ZIP_DEFLATED
    return entry
