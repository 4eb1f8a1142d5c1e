import django.core.validators
import django.db.models.deletion
import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models

import config.db


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0026_say_that_documents_need_no_link"),
        ("catalog", "0007_reword_texts"),
        ("customers", "0006_reword_texts"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="billingstate",
            options={"verbose_name": "billing progress", "verbose_name_plural": "billing progress"},
        ),
        migrations.AlterModelOptions(
            name="couponuse",
            options={"ordering": ["application", "number"], "verbose_name": "discount use"},
        ),
        migrations.AlterModelOptions(
            name="walletentry",
            options={"ordering": ["-pk"], "verbose_name": "credit transaction"},
        ),
        pgtrigger.migrations.RemoveTrigger(
            model_name="payment",
            name="freeze_payment",
        ),
        migrations.AlterField(
            model_name="billingrun",
            name="amounts",
            field=models.JSONField(default=dict, help_text="Amounts invoiced, by currency."),
        ),
        migrations.AlterField(
            model_name="billingrun",
            name="as_of",
            field=models.DateTimeField(help_text="Periods that ended by this time are invoiced."),
        ),
        migrations.AlterField(
            model_name="billingrun",
            name="failed",
            field=models.PositiveIntegerField(default=0, help_text="Subscriptions that couldn't be billed."),
        ),
        migrations.AlterField(
            model_name="billingrun",
            name="kind",
            field=models.CharField(
                choices=[("scheduled", "Scheduled"), ("manual", "Started by staff"), ("dry", "Dry run")], max_length=16
            ),
        ),
        migrations.AlterField(
            model_name="billingrun",
            name="subscriptions",
            field=models.PositiveIntegerField(default=0, help_text="Subscriptions due when the run started."),
        ),
        migrations.AlterField(
            model_name="billingstate",
            name="billed_until",
            field=models.DateTimeField(help_text="The end of the last invoiced period.", null=True),
        ),
        migrations.AlterField(
            model_name="billingstate",
            name="closed_at",
            field=models.DateTimeField(help_text="The end of the subscription, once invoiced.", null=True),
        ),
        migrations.AlterField(
            model_name="billingstate",
            name="due_at",
            field=models.DateTimeField(
                help_text="When the next invoice is due; empty if there won't be one.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="billingstate",
            name="opened",
            field=models.BooleanField(default=False, help_text="Whether the fees due at the start have been invoiced."),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="address_country",
            field=models.CharField(
                blank=True,
                help_text="ISO 3166 country code, for example DE. Documents for US, CA and MX use Letter paper, all others A4.",
                max_length=2,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Z]{2}\\Z", "Enter a two-letter country code in capitals, for example DE."
                    )
                ],
                verbose_name="country",
            ),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="bank_details",
            field=models.TextField(
                blank=True, help_text="Where customers pay: bank, IBAN or account number, BIC.", max_length=1000
            ),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="footer",
            field=models.CharField(blank=True, help_text="Printed at the bottom of every page.", max_length=255),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="logo_text",
            field=models.CharField(
                blank=True, help_text="Printed large at the top. Leave blank to use the company name.", max_length=64
            ),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="payment_terms",
            field=models.TextField(
                blank=True, help_text="For example the interest charged on late payments.", max_length=1000
            ),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="registration",
            field=models.CharField(
                blank=True, help_text="Company register and number, where required by law.", max_length=255
            ),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="site_url",
            field=models.URLField(
                blank=True,
                help_text="The address where staff open Countinghouse. Documents link to it. Leave blank for no link.",
                verbose_name="address of this site",
            ),
        ),
        migrations.AlterField(
            model_name="companyprofile",
            name="tax_id",
            field=models.CharField(
                blank=True, help_text="Include the type, for example VAT DE123456789.", max_length=64
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="amount_off",
            field=config.db.AmountField(
                blank=True,
                decimal_places=4,
                help_text="Taken off each invoice, in the currency below.",
                max_digits=24,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="code",
            field=models.CharField(
                help_text="The code that customers and the API use, for example SUMMER.", max_length=64, unique=True
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="currency",
            field=config.db.CurrencyField(
                blank=True, help_text="Required for an amount; leave blank for a percentage.", max_length=3
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="duration",
            field=models.CharField(
                choices=[("once", "One invoice"), ("repeated", "A number of invoices"), ("forever", "Forever")],
                default="once",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="features",
            field=models.ManyToManyField(
                blank=True, help_text="The discount applies to their usage.", related_name="+", to="catalog.feature"
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="max_redemptions",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="How many times the discount can be applied in total.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="name",
            field=models.CharField(help_text="Shown on invoices.", max_length=255),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="periods",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Only for a discount limited to a number of invoices.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="number of invoices",
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="plans",
            field=models.ManyToManyField(
                blank=True,
                help_text="The discount applies to their recurring fees.",
                related_name="+",
                to="catalog.plan",
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="redeem_after",
            field=models.DateTimeField(blank=True, help_text="The discount can be applied from this time.", null=True),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="redeem_by",
            field=models.DateTimeField(
                blank=True, help_text="The discount can be applied before this time.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="coupon",
            name="scope",
            field=models.CharField(
                choices=[
                    ("everything", "The whole invoice"),
                    ("fees", "Recurring fees"),
                    ("usage", "Usage"),
                    ("chosen", "Selected features, and fees of selected plans"),
                ],
                default="everything",
                max_length=16,
                verbose_name="applies to",
            ),
        ),
        migrations.AlterField(
            model_name="couponapplication",
            name="ended_at",
            field=models.DateTimeField(
                blank=True, help_text="Invoices due for billing from this time are not reduced.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="couponapplication",
            name="starts_at",
            field=models.DateTimeField(help_text="Reduces invoices due for billing from this time."),
        ),
        migrations.AlterField(
            model_name="couponapplication",
            name="subscription",
            field=models.ForeignKey(
                blank=True,
                help_text="Leave blank to apply the discount to all of the customer's subscriptions.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="coupons",
                to="customers.subscription",
            ),
        ),
        migrations.AlterField(
            model_name="couponuse",
            name="amount",
            field=config.db.AmountField(decimal_places=4, help_text="The amount taken off the invoice.", max_digits=24),
        ),
        migrations.AlterField(
            model_name="couponuse",
            name="number",
            field=models.PositiveIntegerField(
                help_text="Counts the invoices that the application reduced, starting at 1."
            ),
        ),
        migrations.AlterField(
            model_name="creditgrant",
            name="expires_at",
            field=models.DateTimeField(
                blank=True, help_text="Not usable from this time. Leave blank for no expiry.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="creditgrant",
            name="invoice",
            field=models.OneToOneField(
                blank=True,
                editable=False,
                help_text="The negative invoice that granted the credit.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="credit_granted",
                to="billing.invoice",
            ),
        ),
        migrations.AlterField(
            model_name="creditgrant",
            name="kind",
            field=models.CharField(
                choices=[
                    ("purchased", "Purchased"),
                    ("promotional", "Promotional"),
                    ("correction", "Correction"),
                    ("invoice", "From a negative invoice"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="creditgrant",
            name="priority",
            field=models.PositiveIntegerField(
                default=0, help_text="If credits expire at the same time, lower numbers are used first."
            ),
        ),
        migrations.AlterField(
            model_name="creditgrant",
            name="reference",
            field=models.CharField(
                blank=True,
                editable=False,
                help_text="The caller's unique reference; a repeated request grants nothing.",
                max_length=255,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="creditnote",
            name="billed_to",
            field=models.JSONField(blank=True, default=dict, help_text="Copied from the invoice."),
        ),
        migrations.AlterField(
            model_name="creditnote",
            name="refund_due",
            field=config.db.AmountField(
                decimal_places=4,
                default=0,
                help_text="The part to be refunded, calculated when the credit note is finalized.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="creditnote",
            name="refund_to",
            field=models.CharField(
                choices=[("outside", "Refund"), ("wallet", "Prepaid credit")], default="outside", max_length=8
            ),
        ),
        migrations.AlterField(
            model_name="creditnote",
            name="tax_included",
            field=config.db.AmountField(
                decimal_places=4, default=0, help_text="Tax included in the amounts.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="creditnote",
            name="total",
            field=config.db.AmountField(
                decimal_places=4,
                default=0,
                help_text="The amount credited to the customer, as a positive number.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="creditnoteline",
            name="amount",
            field=config.db.AmountField(
                decimal_places=4,
                help_text="Credited from the line's discounted amount, before exclusive tax.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="creditnoteline",
            name="tax_amount",
            field=config.db.AmountField(
                decimal_places=4,
                default=0,
                help_text="Exclusive tax on the amount, as charged on the invoice.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="creditnoteline",
            name="tax_included",
            field=config.db.AmountField(
                decimal_places=4, default=0, help_text="Tax included in the amount.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="amount_credited",
            field=config.db.AmountField(
                db_default=0,
                decimal_places=4,
                default=0,
                help_text="Total of the invoice's finalized credit notes.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="amount_due",
            field=config.db.AmountField(
                decimal_places=4, default=0, help_text="Total less prepaid credit, before payments.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="amount_paid",
            field=config.db.AmountField(
                decimal_places=4, default=0, help_text="Payments less reversals and refunds.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="billed_to",
            field=models.JSONField(
                blank=True,
                default=dict,
                help_text="The customer's name, address and tax ID, copied when the invoice is finalized.",
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="computed_at",
            field=models.DateTimeField(help_text="Events counted before this time are included."),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="credits_applied",
            field=config.db.AmountField(
                decimal_places=4,
                default=0,
                help_text="On a draft, the expected amount. Negative if the invoice added to the customer's prepaid credit.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="external_reference",
            field=models.CharField(
                blank=True,
                help_text="The creator's unique reference for a one-off invoice.",
                max_length=255,
                null=True,
                unique=True,
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="held_at",
            field=models.DateTimeField(blank=True, help_text="When the draft was put on hold.", null=True),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="seller",
            field=models.JSONField(
                blank=True,
                db_default={},
                default=dict,
                help_text="The company profile, copied when the invoice is finalized.",
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="tax_included",
            field=config.db.AmountField(
                db_default=0,
                decimal_places=4,
                default=0,
                help_text="Inclusive tax, contained in the prices.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="tax_note",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The reason printed on an invoice without tax.",
                max_length=255,
            ),
        ),
        migrations.AlterField(
            model_name="invoice",
            name="tax_total",
            field=config.db.AmountField(
                decimal_places=4, default=0, help_text="Exclusive tax, added to the subtotal.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="adjusts_invoice",
            field=models.ForeignKey(
                blank=True,
                help_text="For late usage, the invoice of the original period; empty if nothing was invoiced for it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="adjusted_by",
                to="billing.invoice",
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="amount",
            field=config.db.AmountField(
                decimal_places=4, help_text="Rounded to the invoice's currency.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="computation",
            field=models.JSONField(
                blank=True, default=dict, help_text="How the amount was calculated: tiers, prorated days and so on."
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="discount_amount",
            field=config.db.AmountField(
                db_default=0, decimal_places=4, default=0, help_text="The line's share of all discounts.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="exact_amount",
            field=config.db.NumericField(
                decimal_places=150, default=0, help_text="The amount before rounding.", max_digits=400
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="free_units",
            field=config.db.NumericField(
                decimal_places=150,
                default=0,
                help_text="The part of the quantity that is free of charge.",
                max_digits=400,
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="quantity",
            field=config.db.NumericField(
                decimal_places=150, default=1, help_text="Units used, or number of fees.", max_digits=400
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="tax_amount",
            field=config.db.AmountField(
                db_default=0,
                decimal_places=4,
                default=0,
                help_text="The line's share of exclusive taxes.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="tax_included",
            field=config.db.AmountField(
                db_default=0, decimal_places=4, default=0, help_text="Tax included in the line's amount.", max_digits=24
            ),
        ),
        migrations.AlterField(
            model_name="invoiceline",
            name="unit_amount",
            field=config.db.UnitPriceField(
                blank=True,
                decimal_places=12,
                help_text="Set if the same price applies to every unit.",
                max_digits=30,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="lateadjustment",
            name="again",
            field=models.JSONField(default=list, help_text="The recalculated lines."),
        ),
        migrations.AlterField(
            model_name="lateadjustment",
            name="credited",
            field=config.db.AmountField(
                db_default=0,
                decimal_places=4,
                default=0,
                help_text="The part of the original charge that was already credited manually.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="lateadjustment",
            name="discount_back",
            field=config.db.AmountField(
                decimal_places=4,
                default=0,
                help_text="For a negative adjustment, the discount on the original charge.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="lateadjustment",
            name="invoice",
            field=models.ForeignKey(
                help_text="The invoice being corrected; empty if nothing was invoiced for the period.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="late_adjustments",
                to="billing.invoice",
            ),
        ),
        migrations.AlterField(
            model_name="lateadjustment",
            name="reason",
            field=models.CharField(
                blank=True, help_text="Why the adjustment was waived or is no longer needed.", max_length=255
            ),
        ),
        migrations.AlterField(
            model_name="lateadjustment",
            name="returned_by",
            field=models.ForeignKey(
                help_text="The voided invoice that included the adjustment. Its replacement will include it as well.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="late_returned",
                to="billing.invoice",
            ),
        ),
        migrations.AlterField(
            model_name="lateadjustment",
            name="state",
            field=models.CharField(
                choices=[
                    ("held", "Waiting for approval"),
                    ("waiting", "On the next invoice"),
                    ("small", "Below the limit"),
                    ("invoiced", "Invoiced"),
                    ("credited", "On a credit note"),
                    ("ignored", "Waived"),
                    ("cancelled", "No longer needed"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="latecheck",
            name="problem",
            field=models.TextField(blank=True, help_text="Why the last calculation failed."),
        ),
        migrations.AlterField(
            model_name="latelimit",
            name="amount",
            field=config.db.AmountField(
                decimal_places=4,
                help_text="Smaller differences, positive or negative, are not billed yet.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="latepolicy",
            name="less_due",
            field=models.CharField(
                choices=[
                    ("next_invoice", "Credit on the next invoice"),
                    ("credit_note", "Create a credit note for the original invoice"),
                    ("hold", "Hold for approval"),
                ],
                db_default="next_invoice",
                default="next_invoice",
                max_length=16,
                verbose_name="if the customer owes less",
            ),
        ),
        migrations.AlterField(
            model_name="latepolicy",
            name="more_due",
            field=models.CharField(
                choices=[("next_invoice", "Charge on the next invoice"), ("hold", "Hold for approval")],
                db_default="next_invoice",
                default="next_invoice",
                max_length=16,
                verbose_name="if the customer owes more",
            ),
        ),
        migrations.AlterField(
            model_name="monthendreport",
            name="as_of",
            field=models.DateTimeField(help_text="The time that decides whether a period has ended."),
        ),
        migrations.AlterField(
            model_name="monthendreport",
            name="customers",
            field=models.PositiveIntegerField(default=0, help_text="Number of customers in the report."),
        ),
        migrations.AlterField(
            model_name="monthendreport",
            name="month",
            field=models.DateField(help_text="The first day of the month."),
        ),
        migrations.AlterField(
            model_name="numberseries",
            name="is_default",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Used unless another series is selected.",
                verbose_name="default",
            ),
        ),
        migrations.AlterField(
            model_name="numberseries",
            name="prefix",
            field=models.CharField(
                help_text="Precedes the number, for example INV-. It can't be changed once a number has been used.",
                max_length=32,
                unique=True,
                validators=[
                    django.core.validators.RegexValidator(
                        "\\D\\Z", "The prefix can't end with a digit. Add a hyphen, for example."
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="numberseries",
            name="width",
            field=models.PositiveSmallIntegerField(default=6, help_text="Number of digits, padded with zeros."),
        ),
        migrations.AlterField(
            model_name="payment",
            name="amount",
            field=config.db.AmountField(
                decimal_places=4,
                help_text="In the invoice's currency; negative for reversals and refunds.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="attempt",
            field=models.PositiveSmallIntegerField(
                default=1,
                editable=False,
                help_text="Counts payments with the same reference: 2 after the first was reversed.",
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="credit_note",
            field=models.ForeignKey(
                blank=True,
                help_text="The refunded credit note.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="refunds",
                to="billing.creditnote",
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="method",
            field=models.CharField(
                choices=[
                    ("bank_transfer", "Bank transfer"),
                    ("card", "Card"),
                    ("direct_debit", "Direct debit"),
                    ("cheque", "Cheque"),
                    ("cash", "Cash"),
                    ("wallet", "Prepaid credit"),
                    ("other", "Other"),
                ],
                default="bank_transfer",
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="reason",
            field=models.CharField(blank=True, help_text="Why the payment was reversed or refunded.", max_length=255),
        ),
        migrations.AlterField(
            model_name="payment",
            name="received_on",
            field=models.DateField(help_text="The date of the transfer.", verbose_name="date"),
        ),
        migrations.AlterField(
            model_name="payment",
            name="reference",
            field=models.CharField(
                blank=True,
                help_text="The bank's or payment provider's reference. Each can be used once per invoice.",
                max_length=255,
            ),
        ),
        migrations.AlterField(
            model_name="runfinding",
            name="change",
            field=config.db.AmountField(
                decimal_places=4,
                help_text="Compared with the previous period's invoice; empty for the first.",
                max_digits=24,
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="taxassignment",
            name="currency",
            field=config.db.CurrencyField(
                blank=True,
                help_text="Only applies to invoices in this currency. Leave blank for all currencies.",
                max_length=3,
            ),
        ),
        migrations.AlterField(
            model_name="taxassignment",
            name="position",
            field=models.PositiveIntegerField(default=0, help_text="Taxes with lower numbers are listed first."),
        ),
        migrations.AlterField(
            model_name="taxrate",
            name="code",
            field=models.CharField(
                help_text="Used in the API and exports, for example VAT-DE.", max_length=64, unique=True
            ),
        ),
        migrations.AlterField(
            model_name="taxrate",
            name="country",
            field=models.CharField(
                blank=True,
                help_text="As a company default, applies to customers with an address here. Leave blank for all countries.",
                max_length=2,
                validators=[
                    django.core.validators.RegexValidator(
                        "^[A-Z]{2}\\Z", "Enter a two-letter ISO 3166 country code in capitals, for example DE."
                    )
                ],
            ),
        ),
        migrations.AlterField(
            model_name="taxrate",
            name="is_inclusive",
            field=models.BooleanField(
                default=False,
                help_text="Prices already include the tax. Otherwise the tax is added to them.",
                verbose_name="inclusive",
            ),
        ),
        migrations.AlterField(
            model_name="taxrate",
            name="name",
            field=models.CharField(help_text="Shown on invoices, for example VAT.", max_length=255),
        ),
        migrations.AlterField(
            model_name="wallet",
            name="priority",
            field=models.PositiveIntegerField(
                default=0, help_text="If credits expire at the same time, wallets with lower numbers are used first."
            ),
        ),
        migrations.AlterField(
            model_name="walletentry",
            name="amount",
            field=config.db.AmountField(
                decimal_places=4,
                help_text="Positive for credit added to the wallet, negative for credit taken out.",
                max_digits=24,
            ),
        ),
        migrations.AlterField(
            model_name="walletentry",
            name="kind",
            field=models.CharField(
                choices=[
                    ("granted", "Granted"),
                    ("applied", "Applied to an invoice"),
                    ("returned", "Returned from a voided invoice"),
                    ("expired", "Expired"),
                    ("taken_back", "Revoked"),
                ],
                max_length=16,
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="payment",
            trigger=pgtrigger.compiler.Trigger(
                name="freeze_payment",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func="\n    IF TG_OP <> 'INSERT' THEN\n        RAISE EXCEPTION 'payments never change: reverse the payment, and record it again'\n            USING ERRCODE = 'restrict_violation';\n    END IF;\n    IF NOT EXISTS (\n        SELECT FROM billing_invoice\n        WHERE id = NEW.invoice_id AND currency = NEW.currency AND state IN ('finalized', 'paid')\n    ) THEN\n        RAISE EXCEPTION 'a payment needs a finalized invoice of its currency' USING ERRCODE = 'check_violation';\n    END IF;\n    RETURN NEW;\n",
                    hash="b6b1b663d1b32bf88bd85b5abbe4cfe8d094a3b6",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_freeze_payment_54577",
                    table="billing_payment",
                    when="BEFORE",
                ),
            ),
        ),
        migrations.AlterConstraint(
            model_name="coupon",
            name="coupon_redeemable_in_order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("redeem_after", None),
                    ("redeem_by", None),
                    ("redeem_by__gt", models.F("redeem_after")),
                    _connector="OR",
                ),
                name="coupon_redeemable_in_order",
                violation_error_message="“Redeem by” must be later than “redeem after”.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="coupon",
            name="coupon_percentage_or_amount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("percent_off__gt", 0),
                        ("percent_off__isnull", False),
                        ("percent_off__lte", 100),
                        ("amount_off", None),
                        ("currency", ""),
                    ),
                    models.Q(
                        ("amount_off__gt", 0),
                        ("amount_off__isnull", False),
                        ("currency__regex", "^[A-Z]{3}$"),
                        ("percent_off", None),
                    ),
                    _connector="OR",
                ),
                name="coupon_percentage_or_amount",
                violation_error_message="Enter either a positive percentage, or a positive amount and its currency.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="coupon",
            name="coupon_periods_when_repeated",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("duration", "repeated"), ("periods__gte", 1), ("periods__isnull", False)),
                    models.Q(models.Q(("duration", "repeated"), _negated=True), ("periods", None)),
                    _connector="OR",
                ),
                name="coupon_periods_when_repeated",
                violation_error_message="Enter a number of invoices if, and only if, the discount is limited to it.",
            ),
        ),
        migrations.AlterConstraint(
            model_name="taxassignment",
            name="tax_of_one_owner",
            constraint=models.CheckConstraint(
                condition=models.Q(("customer", None), ("subscription", None), _connector="OR"),
                name="tax_of_one_owner",
                violation_error_message="Assign a tax to a customer or to a subscription, not to both.",
            ),
        ),
    ]
