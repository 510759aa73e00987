from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.checks"
    label = "checks"
    default_auto_field = "django.db.models.BigAutoField"
