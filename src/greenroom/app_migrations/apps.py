from django.apps import AppConfig


class Config(AppConfig):
    name = "greenroom.app_migrations"
    label = "app_migrations"
    default_auto_field = "django.db.models.BigAutoField"
