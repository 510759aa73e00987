"""The audit trail: who changed what."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        from audit import recorder

        recorder.connect()
