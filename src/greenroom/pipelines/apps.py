from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.pipelines"
    label = "pipelines"
    default_auto_field = "django.db.models.BigAutoField"
