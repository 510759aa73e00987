from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dynos", "0006_planned_start")]

    operations = [
        migrations.AddField(
            model_name="dyno",
            name="attached",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
