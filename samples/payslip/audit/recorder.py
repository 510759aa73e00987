"""Writes the audit trail. Signals record changes of the base data, `record` everything else."""

from contextvars import ContextVar

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save

from audit.models import AuditEntry

current_request: ContextVar = ContextVar("current_request", default=None)
# Each sign-in changes `last_login`, and password hashes must not be recorded.
UNTOLD = {"last_login"}
SECRET = {"password"}


def current_actor():
    request = current_request.get()
    user = getattr(request, "user", None)
    return user if user is not None and user.is_authenticated else None


def record(action: str, subject: Model, changes: dict | None = None, actor=None, at=None) -> None:
    """Add one entry. The actor defaults to the signed-in user."""
    entry = AuditEntry(
        actor=actor or current_actor(),
        action=action,
        subject_type=subject._meta.verbose_name,
        subject_id=str(subject.pk),
        subject=str(subject)[:200],
        changes=changes or {},
    )
    if at is not None:
        entry.at = at
    entry.save()


def values_of(instance: Model) -> dict[str, str]:
    values = {}
    for field in instance._meta.concrete_fields:
        if field.primary_key or field.name in UNTOLD:
            continue
        values[field.name] = field.value_to_string(instance)
    return values


def remember(sender, instance, raw=False, **kwargs) -> None:
    before = None if raw or instance.pk is None else sender.objects.filter(pk=instance.pk).first()
    instance._audit_before = values_of(before) if before else {}


def saved(sender, instance, created, raw=False, **kwargs) -> None:
    if raw:
        return
    before, after = getattr(instance, "_audit_before", {}), values_of(instance)
    changes = {
        name: ["•••", "•••"] if name in SECRET else [before.get(name, ""), value]
        for name, value in after.items()
        if before.get(name, "") != value
    }
    if created or changes:
        record("added" if created else "changed", instance, changes)


def deleted(sender, instance, **kwargs) -> None:
    changes = {name: [value, ""] for name, value in values_of(instance).items()}
    for name in SECRET & changes.keys():
        changes[name] = ["•••", ""]
    record("deleted", instance, changes)


def links_changed(sender, instance, action, reverse, model, pk_set, **kwargs) -> None:
    if action not in {"post_add", "post_remove", "pre_clear"}:
        return
    if action == "pre_clear":
        record("links cleared", instance, {str(model._meta.verbose_name_plural): ["all", ""]})
    elif pk_set:
        names = ", ".join(sorted(str(one) for one in model.objects.filter(pk__in=pk_set)))
        pair = ["", names] if action == "post_add" else [names, ""]
        record("links changed", instance, {str(model._meta.verbose_name_plural): pair})


def connect() -> None:
    for label in settings.AUDITED_MODELS:
        model = apps.get_model(label)
        pre_save.connect(remember, sender=model, dispatch_uid=f"audit-remember-{label}")
        post_save.connect(saved, sender=model, dispatch_uid=f"audit-saved-{label}")
        post_delete.connect(deleted, sender=model, dispatch_uid=f"audit-deleted-{label}")
        for field in model._meta.many_to_many:
            through = field.remote_field.through
            uid = f"audit-links-{label}-{field.name}"
            m2m_changed.connect(links_changed, sender=through, dispatch_uid=uid)
