from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.logs"
    label = "logs"
    default_auto_field = "django.db.models.BigAutoField"
