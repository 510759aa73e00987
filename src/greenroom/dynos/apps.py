from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.dynos"
    label = "dynos"
    default_auto_field = "django.db.models.BigAutoField"
