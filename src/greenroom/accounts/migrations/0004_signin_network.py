from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_sessions"),
    ]

    operations = [
        migrations.AddField(
            model_name="signin",
            name="network",
            field=models.CharField(blank=True, default="", max_length=45),
        ),
    ]
