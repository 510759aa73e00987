import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Names of classes only: the table keeps its name, and no SQL runs."""

    dependencies = [
        ("webhooks", "0001_initial"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameModel(old_name="Telling", new_name="WebhookDelivery"),
                migrations.AlterModelTable(name="webhookdelivery", table="webhooks_telling"),
                migrations.AlterField(
                    model_name="webhookdelivery",
                    name="webhook",
                    field=models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="webhooks.webhook"
                    ),
                ),
                migrations.AlterField(
                    model_name="webhookdelivery",
                    name="event",
                    field=models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="webhooks.event"
                    ),
                ),
            ]
        )
    ]
