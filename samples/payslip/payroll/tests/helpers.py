"""A small organisation for the tests: three payroll users, and staff with simple rates."""

import datetime as dt
from decimal import Decimal

from django.contrib.auth.models import Group
from django.test import TestCase

from accounts.models import User
from accounts.roles import APPROVER, MANAGER
from payroll import workflow
from payroll.models import (
    ComponentRate,
    EmploymentPeriod,
    PayComponent,
    PayRun,
    StaffMember,
    UnitEntry,
    UnitType,
)

MAY = dt.date(2026, 5, 1)
JUNE = dt.date(2026, 6, 1)
SINCE = dt.date(2020, 1, 1)


def make_user(username: str, *groups: str, **fields) -> User:
    user = User.objects.create_user(username, f"{username}@example.org", "flying-low-4", **fields)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


class PayrollTestCase(TestCase):
    """Salary and flights are earned, 10 % insurance deducted, and 5 % paid by the employer."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.manager = make_user("mara", MANAGER)
        cls.approver = make_user("abel", APPROVER)
        cls.both = make_user("boss", MANAGER, APPROVER)
        cls.member = make_user("sina")
        cls.flights = UnitType.objects.create(code="flights", name="Flights")
        cls.hours = UnitType.objects.create(code="hours", name="Hours")
        cls.salary = cls.component(10, "salary", "earning", "fixed")
        cls.allowance = cls.component(20, "allowance", "earning", "per_unit", cls.flights)
        cls.insurance = cls.component(30, "insurance", "deduction", "percentage")
        cls.insurance.bases.set([cls.salary, cls.allowance])
        cls.employer = cls.component(40, "employer", "employer", "percentage")
        cls.employer.bases.set([cls.salary])
        for component, value in ((cls.allowance, 20), (cls.insurance, 10), (cls.employer, 5)):
            cls.rate(component, value)
        cls.sina = cls.person("S-1", "Sina Blum", 4000, user=cls.member)
        cls.tom = cls.person("S-2", "Tom Alder", 5000)

    @staticmethod
    def component(order, code, kind, method, unit=None) -> PayComponent:
        return PayComponent.objects.create(
            order=order, code=code, name=code.title(), kind=kind, method=method, unit_type=unit
        )

    @staticmethod
    def rate(component, value, staff=None, since=SINCE, until=None) -> ComponentRate:
        return ComponentRate.objects.create(
            component=component,
            staff=staff,
            value=Decimal(value),
            valid_from=since,
            valid_to=until,
        )

    @classmethod
    def person(cls, number, name, salary, user=None, starts=SINCE, ends=None) -> StaffMember:
        staff = StaffMember.objects.create(number=number, name=name, user=user)
        EmploymentPeriod.objects.create(staff=staff, starts=starts, ends=ends, job_title="Pilot")
        cls.rate(cls.salary, salary, staff)
        return staff

    def fly(self, staff, flights, month=MAY) -> None:
        UnitEntry.objects.update_or_create(
            staff=staff, unit_type=self.flights, month=month, defaults={"quantity": flights}
        )

    def calculated(self, month=MAY) -> PayRun:
        return workflow.calculate(workflow.create(month, self.manager), self.manager)

    def approved(self, month=MAY) -> PayRun:
        return workflow.approve(self.calculated(month), self.approver)

    def paid(self, month=MAY) -> PayRun:
        return workflow.pay(self.approved(month), self.manager)

    def as_user(self, user) -> None:
        self.client.force_login(user)
