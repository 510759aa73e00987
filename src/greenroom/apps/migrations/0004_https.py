# Whether what is live sends visitors who come by plain HTTP to HTTPS: the app's address is then the https one.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("apps", "0003_transfers_and_acm")]

    operations = [
        migrations.AddField(model_name="app", name="https", field=models.BooleanField(default=False)),
    ]
