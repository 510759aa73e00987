"""The list of buildpacks replaces the single one, which was heroku/python or, after ``buildpacks:clear``, empty."""

from django.db import migrations, models


def keep_cleared(apps, schema_editor):
    apps.get_model("apps", "App").objects.filter(buildpack="").update(buildpacks=[])


class Migration(migrations.Migration):
    dependencies = [("apps", "0005_bare")]

    operations = [
        migrations.AddField("app", "buildpacks", models.JSONField(null=True, default=None)),
        migrations.RunPython(keep_cleared, migrations.RunPython.noop),
        migrations.RemoveField("app", "buildpack"),
    ]
