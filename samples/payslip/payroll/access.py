"""All permission checks of the app. The views use only these."""

from django.contrib.auth.decorators import login_required, permission_required
from django.db.models import QuerySet

from payroll.models import PayRun, Payslip

MANAGE = "payroll.manage_payroll"
APPROVE = "payroll.approve_payrun"


def sees_payroll(user) -> bool:
    """Payroll managers and approvers see every payslip; everybody else only their own."""
    return user.has_perm(MANAGE) or user.has_perm(APPROVE)


def visible_payslips(user) -> QuerySet[Payslip]:
    if sees_payroll(user):
        return Payslip.objects.all()
    return Payslip.objects.filter(staff__user=user, run__status__in=PayRun.FROZEN)


def manager_required(view):
    return login_required(permission_required(MANAGE, raise_exception=True)(view))
