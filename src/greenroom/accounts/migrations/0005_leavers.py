from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_signin_network")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="disabled_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="deleted_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
