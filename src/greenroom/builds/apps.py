from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.builds"
    label = "builds"
    default_auto_field = "django.db.models.BigAutoField"
