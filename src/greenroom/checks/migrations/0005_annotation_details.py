from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('checks', '0004_ignores_and_policy'),
    ]

    operations = [
        migrations.AddField(
            model_name='annotation',
            name='end_column',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='annotation',
            name='raw_details',
            field=models.TextField(blank=True),
        ),
        migrations.AlterField(
            model_name='annotation',
            name='rule',
            field=models.CharField(max_length=255),
        ),
    ]
