from billing.models.company import CompanyProfile
from billing.models.coupons import Coupon, CouponApplication, CouponDuration, CouponScope, CouponUse
from billing.models.invoices import Invoice, InvoiceKind, InvoiceLine, InvoiceState, LineKind, NumberSeries
from billing.models.runs import BillingRun, BillingState, RunChunk, RunFinding, RunKind, RunState
from billing.models.taxes import TaxAssignment, TaxRate
from billing.models.wallets import CreditGrant, EntryKind, GrantKind, Wallet, WalletEntry, WalletState

__all__ = [
    "BillingRun",
    "BillingState",
    "CompanyProfile",
    "Coupon",
    "CouponApplication",
    "CouponDuration",
    "CouponScope",
    "CouponUse",
    "CreditGrant",
    "EntryKind",
    "GrantKind",
    "Invoice",
    "InvoiceKind",
    "InvoiceLine",
    "InvoiceState",
    "LineKind",
    "NumberSeries",
    "RunChunk",
    "RunFinding",
    "RunKind",
    "RunState",
    "TaxAssignment",
    "TaxRate",
    "Wallet",
    "WalletEntry",
    "WalletState",
]
