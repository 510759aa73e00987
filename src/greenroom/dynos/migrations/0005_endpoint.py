# The engine names the socket of a web dyno; running dynos keep their previous socket name.

from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Concat


def name_sockets(apps, schema_editor):
    dynos = apps.get_model("dynos", "Dyno")
    dynos.objects.filter(kind="web").update(endpoint=Concat(Value("run/sockets/"), F("engine_id")))


class Migration(migrations.Migration):
    dependencies = [("dynos", "0004_https")]

    operations = [
        migrations.AddField(
            model_name="dyno",
            name="endpoint",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
        migrations.RunPython(name_sockets, migrations.RunPython.noop),
    ]
