from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.addons"
    label = "addons"
    default_auto_field = "django.db.models.BigAutoField"
