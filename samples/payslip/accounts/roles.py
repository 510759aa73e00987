"""The two roles above staff member, as groups with permissions. Created after each migration."""

from django.apps import apps as registry
from django.contrib.auth.management import create_permissions
from django.contrib.auth.models import Group, Permission

MANAGER = "Payroll manager"
APPROVER = "Approver"
BASE_DATA = (
    "staffmember",
    "employmentperiod",
    "unittype",
    "unitentry",
    "paycomponent",
    "componentrate",
)
PERMISSIONS = {
    MANAGER: [
        "payroll.manage_payroll",
        "audit.view_auditentry",
        *(
            f"payroll.{verb}_{name}"
            for name in BASE_DATA
            for verb in ("add", "change", "delete", "view")
        ),
    ],
    APPROVER: [
        "payroll.approve_payrun",
        "audit.view_auditentry",
        *(f"payroll.view_{name}" for name in BASE_DATA),
    ],
}


def ensure_roles(apps, using, **kwargs) -> None:
    """Add missing groups and permissions; keep those that an administrator added."""
    try:
        for label, model in (("auth", "Group"), ("payroll", "PayRun"), ("audit", "AuditEntry")):
            apps.get_model(label, model)
    except LookupError:
        return  # Only part of the migrations has run.
    for label in ("payroll", "audit"):
        create_permissions(registry.get_app_config(label), verbosity=0, using=using, apps=apps)
    known = {
        f"{permission.content_type.app_label}.{permission.codename}": permission
        for permission in Permission.objects.using(using)
        .filter(content_type__app_label__in=("payroll", "audit"))
        .select_related("content_type")
    }
    for name, wanted in PERMISSIONS.items():
        group, _ = Group.objects.using(using).get_or_create(name=name)
        group.permissions.add(*(known[one] for one in wanted if one in known))
