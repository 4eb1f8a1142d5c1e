from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0041_name_parts_of_proofs"),
    ]

    operations = [
        migrations.AlterField(
            model_name="proofdifference",
            name="subject",
            field=models.CharField(
                choices=[
                    ("invoice", "Invoice"),
                    ("line", "Invoice line"),
                    ("usage", "Hour of usage"),
                    ("wallet", "Wallet"),
                    ("grant", "Grant"),
                    ("entry", "Credit transaction"),
                    ("series", "Number series"),
                    ("credit_note", "Credit note"),
                    ("change", "Change log entry"),
                    ("customer", "Customer"),
                    ("month", "Month"),
                    ("backup", "Backup"),
                    ("part", "Part of a proof"),
                    ("event", "Event"),
                    ("sealed_part", "Sealed events"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            model_name="proofresult",
            name="kind",
            field=models.CharField(
                choices=[
                    ("usage", "Usage counted again from events"),
                    ("lines", "Invoice lines recalculated"),
                    ("receivables", "Invoices and payments added up"),
                    ("wallets", "Prepaid credit added up"),
                    ("numbers", "Numbers without gaps"),
                    ("change_log", "Change log intact"),
                    ("reconciliation", "All events accounted for"),
                    ("ledger", "Ledger intact"),
                    ("backup", "Last backup restored"),
                ],
                max_length=16,
            ),
        ),
    ]
