"""Which module drives which category of golden vectors.

Add a category by writing `adapter_<category>.py` with a `CATEGORY`, and naming it here.
"""

from collections.abc import Mapping

from tests.conformance import (
    adapter_aggregation,
    adapter_idempotency,
    adapter_invoices,
    adapter_periods,
    adapter_pricing,
    adapter_proration,
)
from tests.conformance.registry import Category

CATEGORIES: Mapping[str, Category] = {
    "pricing": adapter_pricing.CATEGORY,
    "aggregation": adapter_aggregation.CATEGORY,
    "periods": adapter_periods.CATEGORY,
    "proration": adapter_proration.CATEGORY,
    "invoices": adapter_invoices.CATEGORY,
    "idempotency": adapter_idempotency.CATEGORY,
}
