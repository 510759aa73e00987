# A web dyno that is to be restarted serves until its successor does.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dynos", "0001_initial")]

    operations = [
        migrations.AddField(model_name="dyno", name="leaving", field=models.BooleanField(default=False)),
    ]
