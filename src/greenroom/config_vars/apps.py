from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.config_vars"
    label = "config_vars"
    default_auto_field = "django.db.models.BigAutoField"
