"""The payroll's URLs. Months are written as 2026-07."""

from django.urls import path, register_converter

from audit.views import trail
from payroll.months import MonthConverter
from payroll.views import home, payslips, people, runs, units

register_converter(MonthConverter, "month")

urlpatterns = [
    path("", home.dashboard, name="dashboard"),
    path("payslips/", home.my_payslips, name="my-payslips"),
    path("payslips/<int:pk>/", payslips.payslip, name="payslip"),
    path("payslips/<int:pk>.pdf", payslips.payslip_pdf, name="payslip-pdf"),
    path("payslips/<int:pk>/correct/", payslips.correct, name="payslip-correct"),
    path("runs/", runs.run_list, name="runs"),
    path("runs/new/", runs.run_new, name="run-new"),
    path("runs/<int:pk>/", runs.run, name="run"),
    path("runs/<int:pk>/payslips.csv", runs.run_csv, name="run-csv"),
    path("runs/<int:pk>/send-back/", runs.send_back, name="run-send-back"),
    path("runs/<int:pk>/discard/", runs.discard, name="run-discard"),
    path("runs/<int:pk>/<slug:name>/", runs.step, name="run-step"),
    path("units/", units.this_month, name="units-now"),
    path("units/<month:month>/", units.units, name="units"),
    path("units/<month:month>/import/", units.units_import, name="units-import"),
    path("units/<month:month>/units.csv", units.units_template, name="units-template"),
    path("staff/", people.staff_list, name="staff-list"),
    path("staff/<int:pk>/", people.staff_member, name="staff-member"),
    path("audit/", trail, name="audit-trail"),
]
