from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.git"
    label = "git"
    default_auto_field = "django.db.models.BigAutoField"
