from billing.kinds import CouponScope, InvoiceKind, LineKind
from billing.models.bank import BankEntry, BankFileFormat, BankImport
from billing.models.company import CompanyProfile
from billing.models.coupons import Coupon, CouponApplication, CouponDuration, CouponUse
from billing.models.credit_notes import CreditNote, CreditNoteLine, CreditNoteState, CreditReason, RefundTo
from billing.models.einvoices import EInvoice
from billing.models.emails import Email, EmailEvent, EmailEventKind, EmailKind, EmailState, EmailTemplate
from billing.models.invoices import Invoice, InvoiceState
from billing.models.joint_invoices import JointInvoice
from billing.models.late import LateAdjustment, LateCheck, LateLimit, LatePolicy, LateState
from billing.models.lines import InvoiceLine
from billing.models.month_ends import MonthClosing, MonthEndChunk, MonthEndReport
from billing.models.payments import ADJUSTMENTS, Payment, PaymentKind, PaymentMethod, SurplusUse
from billing.models.proofs import MonthReconciliation, ProofDifference, ProofPart, ProofResult, ProofRun
from billing.models.reminders import (
    PauseKind,
    Reminder,
    ReminderAssignment,
    ReminderAttachment,
    ReminderEmail,
    ReminderMinimum,
    ReminderPause,
    ReminderSchedule,
    ReminderStep,
)
from billing.models.runs import BillingRun, BillingState, RunChunk, RunFinding, RunKind, RunState
from billing.models.self_tests import SelfTest, SelfTestStage
from billing.models.series import NumberSeries, SeriesUse
from billing.models.simulations import (
    SimulatedChange,
    SimulatedSelection,
    Simulation,
    SimulationChunk,
    SimulationInvoice,
    SimulationState,
)
from billing.models.statuses import InvoiceStatus, has_status, status_label, status_of
from billing.models.taxes import TaxAssignment, TaxRate
from billing.models.wallets import CreditGrant, EntryKind, GrantKind, Wallet, WalletEntry, WalletState

__all__ = [
    "ADJUSTMENTS",
    "BankEntry",
    "BankFileFormat",
    "BankImport",
    "BillingRun",
    "BillingState",
    "CompanyProfile",
    "Coupon",
    "CouponApplication",
    "CouponDuration",
    "CouponScope",
    "CouponUse",
    "CreditGrant",
    "CreditNote",
    "CreditNoteLine",
    "CreditNoteState",
    "CreditReason",
    "EInvoice",
    "Email",
    "EmailEvent",
    "EmailEventKind",
    "EmailKind",
    "EmailState",
    "EmailTemplate",
    "EntryKind",
    "GrantKind",
    "Invoice",
    "InvoiceKind",
    "InvoiceLine",
    "InvoiceState",
    "InvoiceStatus",
    "JointInvoice",
    "LateAdjustment",
    "LateCheck",
    "LateLimit",
    "LatePolicy",
    "LateState",
    "LineKind",
    "MonthClosing",
    "MonthEndChunk",
    "MonthEndReport",
    "MonthReconciliation",
    "NumberSeries",
    "PauseKind",
    "Payment",
    "PaymentKind",
    "PaymentMethod",
    "ProofDifference",
    "ProofPart",
    "ProofResult",
    "ProofRun",
    "RefundTo",
    "Reminder",
    "ReminderAssignment",
    "ReminderAttachment",
    "ReminderEmail",
    "ReminderMinimum",
    "ReminderPause",
    "ReminderSchedule",
    "ReminderStep",
    "RunChunk",
    "RunFinding",
    "RunKind",
    "RunState",
    "SelfTest",
    "SelfTestStage",
    "SeriesUse",
    "SimulatedChange",
    "SimulatedSelection",
    "Simulation",
    "SimulationChunk",
    "SimulationInvoice",
    "SimulationState",
    "SurplusUse",
    "TaxAssignment",
    "TaxRate",
    "Wallet",
    "WalletEntry",
    "WalletState",
    "has_status",
    "status_label",
    "status_of",
]
