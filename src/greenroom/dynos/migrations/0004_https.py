# Whether a web dyno redirects plain HTTP to HTTPS.

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dynos", "0003_watched_and_last_words")]

    operations = [
        migrations.AddField(model_name="dyno", name="https", field=models.BooleanField(default=False)),
    ]
