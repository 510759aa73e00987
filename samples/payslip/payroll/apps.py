"""Staff, pay components, units, pay runs and payslips."""

from django.apps import AppConfig


class PayrollConfig(AppConfig):
    name = "payroll"
