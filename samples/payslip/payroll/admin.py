"""The base data in Django's admin. Runs and payslips are not included, as only the workflow changes them."""

from django.contrib import admin

from payroll.forms import PayComponentForm
from payroll.models import ComponentRate, EmploymentPeriod, PayComponent, StaffMember, UnitType


class EmploymentInline(admin.TabularInline):
    model = EmploymentPeriod
    extra = 0


class StaffRateInline(admin.TabularInline):
    model = ComponentRate
    extra = 0
    fk_name = "staff"


@admin.register(StaffMember)
class StaffMemberAdmin(admin.ModelAdmin):
    list_display = ["number", "name", "email"]
    search_fields = ["number", "name", "email"]
    inlines = [EmploymentInline, StaffRateInline]
    autocomplete_fields = ["user"]


@admin.register(PayComponent)
class PayComponentAdmin(admin.ModelAdmin):
    form = PayComponentForm
    list_display = ["order", "code", "name", "kind", "method", "prorated"]
    list_display_links = ["code"]
    list_filter = ["kind", "method"]
    filter_horizontal = ["bases"]


@admin.register(ComponentRate)
class ComponentRateAdmin(admin.ModelAdmin):
    list_display = ["component", "staff", "value", "valid_from", "valid_to"]
    list_filter = ["component"]
    list_select_related = ["component", "staff"]
    search_fields = ["staff__name", "staff__number", "component__name"]
    autocomplete_fields = ["staff"]


admin.site.register(UnitType)
