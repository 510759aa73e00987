"""The payroll tables. Each module below contains related models."""

from payroll.models.components import ComponentRate, PayComponent
from payroll.models.kinds import Kind, Method
from payroll.models.runs import FrozenError, PayRun, Payslip, PayslipLine
from payroll.models.staff import EmploymentPeriod, StaffMember, UnitEntry, UnitType

__all__ = [
    "ComponentRate",
    "EmploymentPeriod",
    "FrozenError",
    "Kind",
    "Method",
    "PayComponent",
    "PayRun",
    "Payslip",
    "PayslipLine",
    "StaffMember",
    "UnitEntry",
    "UnitType",
]
