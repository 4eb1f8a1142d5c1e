"""Who may do what in the admin, written down by hand: from the README's table of roles, not from the code.

V is Viewer, O Operations, F Finance, W Owner.
"""

from dataclasses import dataclass, field

from tests.attacks.walks.addresses import NOWHERE, Address

LETTERS = {"Viewer": "V", "Operations": "O", "Finance": "F", "Owner": "W"}
EVERYONE = "VOFW"
NO_ONE = ""
READ_ONLY_KINDS = ("changelist", "change", "history")  # a POST to them needs the right to change rows


@dataclass(frozen=True)
class Rights:
    """The roles that see a table, change its rows and use its actions, add rows, and delete rows."""

    view: str
    change: str = NO_ONE
    add: str = NO_ONE
    delete: str = NO_ONE
    others: dict[str, str] = field(default_factory=dict)  # what other roles may do than those that change rows

    def of(self, kind: str) -> str:
        if kind in self.others:
            return self.others[kind]
        if kind in READ_ONLY_KINDS:
            return self.view
        return {"add": self.add, "delete": self.delete}.get(kind, self.change)


TABLES = {
    "auditlog_logentry": Rights("W", others={"verify": "W"}),
    "auth_group": Rights("W", "W", "W", "W"),
    "auth_user": Rights("W", "W", "W", "W"),
    "billing_billingrun": Rights(EVERYONE, "FW", others={"start": "FW", "start_dry": "FW"}),
    "billing_billingstate": Rights(EVERYONE, "FW"),
    "billing_companyprofile": Rights(EVERYONE, "FW"),
    "billing_coupon": Rights(EVERYONE, "FW", "FW"),
    "billing_couponapplication": Rights(EVERYONE, "FW", "FW"),
    "billing_creditnote": Rights(EVERYONE, "FW", others={"pdf_one": EVERYONE, "xml_one": EVERYONE}),
    "billing_email": Rights(EVERYONE, "FW", others={"attachment": EVERYONE}),
    "billing_emailtemplate": Rights(EVERYONE, "FW"),
    "billing_invoice": Rights(EVERYONE, "FW", others={"pdf_one": EVERYONE, "xml_one": EVERYONE, "export": EVERYONE}),
    "billing_lateadjustment": Rights(EVERYONE, "FW"),
    "billing_latepolicy": Rights(EVERYONE, "FW"),
    "billing_numberseries": Rights(EVERYONE, "FW", "FW"),
    "billing_payment": Rights(EVERYONE, "FW"),
    "billing_reminder": Rights(EVERYONE, "FW"),
    "billing_reminderpause": Rights(EVERYONE, "FW"),
    "billing_reminderschedule": Rights(EVERYONE, "FW", "FW", "FW"),
    "billing_runfinding": Rights(EVERYONE),
    "billing_selftest": Rights(EVERYONE),
    "billing_simulation": Rights(EVERYONE, "OFW", others={"panel": EVERYONE}),
    "billing_simulationinvoice": Rights(EVERYONE),
    "billing_taxrate": Rights(EVERYONE, "FW", "FW"),
    "billing_wallet": Rights(EVERYONE, "FW", "FW"),
    "billing_walletentry": Rights(EVERYONE),
    "catalog_addon": Rights(EVERYONE, "OW", "OW"),
    "catalog_eventnamealias": Rights(EVERYONE, "OW", "OW", "OW"),
    "catalog_feature": Rights(EVERYONE, "OW", "OW", "OW"),
    "catalog_plan": Rights(EVERYONE, "OW", "OW"),
    "catalog_planversion": Rights(EVERYONE, "OW", delete="OW", others={"simulate": "OFW"}),  # of a draft
    "catalog_price": Rights(EVERYONE, "OW", "OW", "OW"),
    "config_alarm": Rights(EVERYONE, "OFW"),
    # The request grants credit: who may not do that may not decide about it, and only who requested it withdraws it.
    "config_approval": Rights(EVERYONE, "FW", others={"withdraw_one": NO_ONE}),
    "config_approvalrule": Rights(EVERYONE, "W"),
    "config_backup": Rights(EVERYONE),
    "config_signinevent": Rights("W"),
    "config_signinrules": Rights("W", "W"),
    "config_webhookdelivery": Rights(EVERYONE, "OW"),
    "config_webhookendpoint": Rights(EVERYONE, "OW", "OW"),
    "customers_customer": Rights(
        EVERYONE,
        "OFW",
        "OFW",
        others={
            "apply_discount": "FW",
            "grant_credit": "FW",
            "write_one_off": "FW",
            "open_months": EVERYONE,
            "record_receipt": "FW",
            "send_statement": "FW",
            "open_emails": EVERYONE,
            "pause_all_reminders": "FW",
            "choose_reminders": "FW",
            "open_statement": EVERYONE,
            "open_personal_data": "W",
            "erase_personal_data": "W",
        },
    ),
    "customers_customeralias": Rights(EVERYONE, "OFW", "OFW"),
    "customers_subscription": Rights(EVERYONE, "OFW", "OFW"),
    "django_celery_beat_clockedschedule": Rights("W", "W", "W", "W"),
    "django_celery_beat_crontabschedule": Rights("W", "W", "W", "W"),
    "django_celery_beat_intervalschedule": Rights("W", "W", "W", "W"),
    "django_celery_beat_periodictask": Rights("W", "W", "W", "W"),
    "events_apikey": Rights(EVERYONE, "OW", "OW"),
    "events_duplicateevent": Rights(EVERYONE, "OW"),
    "events_event": Rights(EVERYONE, "OW", others={"debug_event": EVERYONE, "payload": EVERYONE}),
    "events_inboxevent": Rights(EVERYONE),
    "events_mendingrun": Rights(EVERYONE, others={"progress": EVERYONE}),
    "events_problem": Rights(EVERYONE, "OW", others={"causes": EVERYONE, "at_risk": EVERYONE}),
    "events_processedbatch": Rights(EVERYONE),
    "events_refusedrequest": Rights(EVERYONE),
    "events_sealedpart": Rights(EVERYONE),
    "events_usagealert": Rights(EVERYONE, "OW", "OW", "OW"),
    "events_usagecheck": Rights(EVERYONE),
}

PAGES = {
    "billing_aging": EVERYONE,
    "billing_bank": EVERYONE,
    "billing_bank_entry": "FW",
    "billing_bank_import": "FW",
    "billing_change_effect": "OFW",
    "billing_compare_invoice": EVERYONE,
    "billing_credit_effect": "FW",
    "billing_credit_invoice": "FW",
    "billing_credit_note_pdf": EVERYONE,
    "billing_draft_effect": "FW",
    "billing_edit_draft": "FW",
    "billing_edit_one_off": "FW",
    "billing_customer_months": EVERYONE,
    "billing_commitment": EVERYONE,
    "billing_deal": EVERYONE,
    "billing_home_money": EVERYONE,
    "billing_line_event_list": EVERYONE,
    "billing_line_events": EVERYONE,
    "billing_line_proof": EVERYONE,
    "billing_month_close": "FW",
    "billing_month_end": EVERYONE,
    "billing_month_end_at_risk": EVERYONE,
    "billing_month_end_progress": EVERYONE,
    "billing_month_end_work_out": EVERYONE,  # it only writes the report that the page shows
    "billing_month_reopen": "FW",
    "billing_new_one_off": "FW",
    "billing_one_off_effect": "FW",
    "billing_personal_data": "W",
    "billing_personal_data_file": "W",
    "billing_phases": "OFW",
    "billing_phases_effect": "OFW",
    "billing_plan_calculation": "OW",
    "billing_plan_setup": "OW",
    "billing_planned_reminders": EVERYONE,
    "billing_price_staircase": EVERYONE,
    "billing_proof": EVERYONE,
    "billing_proof_file": EVERYONE,
    "billing_proof_progress": EVERYONE,
    "billing_proofs": EVERYONE,
    "billing_receipt": "FW",
    "billing_reconciliation": EVERYONE,
    "billing_reconciliation_events": EVERYONE,
    "billing_review": EVERYONE,
    "billing_review_result": EVERYONE,
    "billing_run_csv": EVERYONE,
    "billing_run_progress": EVERYONE,
    "billing_run_retry": "FW",
    "billing_start_proofs": "FW",
    "billing_statement": EVERYONE,
    "billing_subscription_upcoming": EVERYONE,
    "billing_terms": "OFW",
    "billing_terms_effect": "OFW",
    "billing_upcoming": EVERYONE,
    "billing_usage_by_day": EVERYONE,
    "billing_usage_staircase": EVERYONE,
    "events_charts": EVERYONE,
    "events_debugger": EVERYONE,
    "events_debugger_feed": EVERYONE,
    "events_debugger_fix": "OW",
    "events_debugger_fix_effect": "OW",
    "events_dry_run": EVERYONE,
    "events_query": EVERYONE,
    "events_search": EVERYONE,
    "events_unbilled": EVERYONE,
    "system": EVERYONE,
}

# Fragments and actions without a page.
POST_ONLY = {
    "billing_change_effect",
    "billing_credit_effect",
    "billing_draft_effect",
    "billing_month_close",
    "billing_month_end_at_risk",
    "billing_month_end_work_out",
    "billing_month_reopen",
    "billing_one_off_effect",
    "billing_personal_data_file",
    "billing_phases_effect",
    "billing_plan_calculation",
    "billing_run_retry",
    "billing_start_proofs",
    "billing_terms_effect",
    "customers_customer_process_import",
    "events_debugger_fix_effect",
    "events_problem_at_risk",
}

# Addresses that only lead to others.
REDIRECTS = {
    "billing_companyprofile_changelist",
    "billing_emailtemplate_changelist",
    "billing_latepolicy_changelist",
    "config_signinrules_changelist",
    "config_webhookendpoint_all_deliveries",
    "view_on_site",
    *(f"{table}_old_link" for table in TABLES),
}

# What every colleague may open: their own account, and pages that show only what they may see.
OWN = {
    "account_logout",
    "account_reauthenticate",
    "app_list",
    "autocomplete",
    "end_sessions",
    "index",
    "jsi18n",
    "logout",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_deactivate_totp",
    "mfa_generate_recovery_codes",
    "mfa_index",
    "mfa_reauthenticate",
    "mfa_reauthenticate_webauthn",
    "mfa_remove_webauthn",
    "mfa_view_recovery_codes",
    "password_change",
    "password_change_done",
    "search",
    "sign_in_again",
    NOWHERE,
}
# What strangers need to sign in.
PUBLIC = {
    "account_login",
    "login",
    "mfa_authenticate",
    "mfa_login_webauthn",
    "openid_connect_callback",
    "openid_connect_login",
}


def may(role: str, address: Address) -> bool:
    """Return whether a role may open an address of a table or a page."""
    roles = TABLES[address.table].of(address.kind) if address.table else PAGES[address.name]
    return LETTERS.get(role, "nobody") in roles


def may_post(role: str, address: Address) -> bool:
    """Return whether a role may change something by a POST to an address."""
    if address.name in PUBLIC | OWN | REDIRECTS:
        return True
    if not address.table:
        return may(role, address)
    rights = TABLES[address.table]
    roles = rights.change if address.kind in READ_ONLY_KINDS else rights.of(address.kind)
    return LETTERS.get(role, "nobody") in roles
