from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.releases"
    label = "releases"
    default_auto_field = "django.db.models.BigAutoField"
