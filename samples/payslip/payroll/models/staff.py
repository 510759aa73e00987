"""Staff members, their employment periods, and the units they worked. Users enter all of it."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q

from payroll.months import first_day, last_day

staff_number = RegexValidator(
    r"^[A-Za-z0-9-]{1,12}$", "Use 1 to 12 letters, digits and hyphens, such as S-0042."
)


class StaffMember(models.Model):
    number = models.CharField("staff number", max_length=12, unique=True, validators=[staff_number])
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)
    bank_account = models.CharField(max_length=34, blank=True)
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="staff_member",
        help_text="The account with which this person sees their own payslips.",
    )

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


class EmploymentPeriod(models.Model):
    staff = models.ForeignKey(StaffMember, on_delete=models.CASCADE, related_name="employment")
    starts = models.DateField("first day")
    ends = models.DateField("last day", null=True, blank=True, help_text="Empty while it goes on.")
    job_title = models.CharField(max_length=80)

    class Meta:
        ordering = ["staff", "starts"]
        constraints = [
            models.CheckConstraint(
                condition=Q(ends__isnull=True) | Q(ends__gte=F("starts")),
                name="employment_ends_after_start",
                violation_error_message="The last day is before the first day.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.job_title}, {self.starts} to {self.ends or 'now'}"

    def clean(self) -> None:
        if self.staff_id is None or self.starts is None:
            return
        others = EmploymentPeriod.objects.filter(staff=self.staff_id).exclude(pk=self.pk)
        others = others.filter(Q(ends__isnull=True) | Q(ends__gte=self.starts))
        if self.ends:
            others = others.filter(starts__lte=self.ends)
        if clash := others.first():
            raise ValidationError(f"This overlaps another period: {clash}. End that one first.")


class UnitType(models.Model):
    code = models.SlugField(max_length=20, unique=True)
    name = models.CharField(max_length=40)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class UnitEntry(models.Model):
    staff = models.ForeignKey(StaffMember, on_delete=models.CASCADE, related_name="units")
    unit_type = models.ForeignKey(UnitType, on_delete=models.PROTECT, related_name="entries")
    month = models.DateField(help_text="The first day of the month.")
    quantity = models.DecimalField(
        max_digits=9, decimal_places=2, validators=[MinValueValidator(0)]
    )

    class Meta:
        ordering = ["month", "staff", "unit_type"]
        verbose_name_plural = "unit entries"
        constraints = [
            models.UniqueConstraint("staff", "unit_type", "month", name="one_entry_a_month"),
            models.CheckConstraint(condition=Q(month__day=1), name="units_month_is_first_day"),
            models.CheckConstraint(condition=Q(quantity__gte=0), name="units_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.staff}: {self.quantity} {self.unit_type} in {self.month:%Y-%m}"


class ValidityPeriod(models.Model):
    """Whole months, so that each month has only one value."""

    valid_from = models.DateField(help_text="The first day of a month.")
    valid_to = models.DateField(
        null=True, blank=True, help_text="The last day of a month; empty while it goes on."
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        problems = {}
        if self.valid_from and self.valid_from != first_day(self.valid_from):
            problems["valid_from"] = "Choose the first day of a month."
        if self.valid_to and self.valid_to != last_day(self.valid_to):
            problems["valid_to"] = "Choose the last day of a month."
        if self.valid_from and self.valid_to and self.valid_to < self.valid_from:
            problems["valid_to"] = "The last day is before the first day."
        if problems:
            raise ValidationError(problems)
