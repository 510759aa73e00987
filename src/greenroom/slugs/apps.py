from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.slugs"
    label = "slugs"
    default_auto_field = "django.db.models.BigAutoField"
