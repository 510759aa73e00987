import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dynos", "0005_endpoint")]

    operations = [
        migrations.CreateModel(
            name="PlannedStart",
            fields=[
                (
                    "dyno",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="planned_start",
                        serialize=False,
                        to="dynos.dyno",
                    ),
                ),
                ("sealed", models.BinaryField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
