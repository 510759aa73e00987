# Whether the app was created without the add-ons that new apps get.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("apps", "0004_https")]

    operations = [
        migrations.AddField(model_name="app", name="bare", field=models.BooleanField(default=False)),
    ]
