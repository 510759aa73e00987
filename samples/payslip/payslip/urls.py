"""All URLs of Payslip. The two health URLs have no trailing slash, as platforms request them without one."""

from django.contrib import admin
from django.urls import include, path

from payslip import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("", include("accounts.urls")),
    path("", include("payroll.urls")),
]
