from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.apps"
    label = "apps"
    default_auto_field = "django.db.models.BigAutoField"
