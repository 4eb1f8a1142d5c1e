"""What the self-test sends, and what must come of it, calculated by hand.

Three events of 12.5, 20 and 2.25 units are 34.75 units, of which 4.75 are free: 30 × $0.25 = $7.50. With the fee of
$5.00 that is $12.50, and with 20 % tax $15.00. The first event is sent twice, which changes nothing.
"""

from datetime import timedelta
from decimal import Decimal

CURRENCY = "USD"
FEE = Decimal("5.00")
UNIT_PRICE = Decimal("0.25")
FREE_UNITS = Decimal("4.75")
TAX_PERCENT = Decimal(20)

PERIOD = timedelta(days=7)
EVENTS = (
    (timedelta(hours=1), Decimal("12.5")),
    (timedelta(days=2), Decimal(20)),
    (timedelta(days=6, hours=23), Decimal("2.25")),
)

RECEIVED, COUNTED, DUPLICATES = 4, 3, 1
QUANTITY = Decimal("34.75")
AMOUNTS = [Decimal("5.00"), Decimal("7.50")]
TAX = Decimal("2.50")
TOTAL = Decimal("15.00")
