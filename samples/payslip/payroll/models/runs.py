"""Pay runs, payslips and their lines. Approved rows are frozen: the models refuse to change them."""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from payroll.models.kinds import Kind
from payroll.models.staff import StaffMember

ZERO = Decimal("0.00")
HALF_A_CENT = Decimal("0.005")


class FrozenError(Exception):
    """Attempt to change an approved payslip; create a correction instead."""


def person(related_name: str) -> models.ForeignKey:
    return models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name=related_name,
    )


def money() -> models.DecimalField:
    return models.DecimalField(max_digits=12, decimal_places=2, default=ZERO)


class FreezingQuerySet(models.QuerySet):
    """Protects frozen rows from bulk changes too, not only from `save` and `delete`."""

    status_path = "run__status__in"

    def refuse_frozen_rows(self) -> None:
        if self.filter(**{self.status_path: PayRun.FROZEN}).exists():
            raise FrozenError("Some of these payslips are approved, and so cannot be changed.")

    def update(self, **values):
        self.refuse_frozen_rows()
        return super().update(**values)

    def delete(self):
        self.refuse_frozen_rows()
        return super().delete()

    delete.alters_data = True
    delete.queryset_only = True


class FreezingLineQuerySet(FreezingQuerySet):
    status_path = "payslip__run__status__in"


class PayRun(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        CALCULATED = "calculated", "Calculated"
        APPROVED = "approved", "Approved"
        PAID = "paid", "Paid"

    class Type(models.TextChoices):
        REGULAR = "regular", "Monthly run"
        CORRECTION = "correction", "Correction run"

    FROZEN = (Status.APPROVED, Status.PAID)

    month = models.DateField(help_text="The first day of the month.")
    type = models.CharField(max_length=10, choices=Type, default=Type.REGULAR)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    created_by = person("runs_created")
    created_at = models.DateTimeField(auto_now_add=True)
    calculated_by = person("runs_calculated")
    calculated_at = models.DateTimeField(null=True, blank=True)
    approved_by = person("runs_approved")
    approved_at = models.DateTimeField(null=True, blank=True)
    paid_by = person("runs_paid")
    paid_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-month", "-id"]
        permissions = [
            ("manage_payroll", "Can prepare, calculate and pay a run"),
            ("approve_payrun", "Can approve a run that somebody else calculated"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(month__day=1), name="run_month_is_first_day"),
            models.UniqueConstraint(
                "month", condition=Q(type="regular"), name="one_regular_run_a_month"
            ),
            models.CheckConstraint(
                condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("calculated_by")),
                name="approved_by_another_person",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "calculated"]) | Q(approved_by__isnull=False),
                name="frozen_run_has_approver",
            ),
        ]

    def __str__(self) -> str:
        suffix = " correction" if self.type == self.Type.CORRECTION else ""
        return f"{self.month:%B %Y}{suffix}"

    @property
    def frozen(self) -> bool:
        return self.status in self.FROZEN


class Payslip(models.Model):
    run = models.ForeignKey(PayRun, on_delete=models.PROTECT, related_name="payslips")
    staff = models.ForeignKey(StaffMember, on_delete=models.PROTECT, related_name="payslips")
    number = models.CharField(max_length=16, null=True, blank=True, unique=True)  # noqa: DJ001
    corrects = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="correction"
    )
    staff_number = models.CharField(max_length=12)
    staff_name = models.CharField(max_length=120)
    job_title = models.CharField(max_length=80, blank=True)
    bank_account = models.CharField(max_length=34, blank=True)
    days_employed = models.PositiveSmallIntegerField(default=0)
    days_in_month = models.PositiveSmallIntegerField(default=0)
    gross = money()
    deductions = money()
    net = money()
    employer = money()
    already_paid = money()
    ytd_gross = money()
    ytd_deductions = money()
    ytd_net = money()
    ytd_employer = money()

    objects = FreezingQuerySet.as_manager()

    class Meta:
        ordering = ["staff_number", "id"]
        constraints = [
            models.UniqueConstraint("run", "staff", name="one_payslip_a_run"),
            models.CheckConstraint(
                # Not `=`, as SQLite stores decimals as binary fractions.
                condition=Q(net__gt=F("gross") - F("deductions") - HALF_A_CENT)
                & Q(net__lt=F("gross") - F("deductions") + HALF_A_CENT),
                name="net_is_gross_less_deductions",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number or 'Preview'} {self.staff_name}"

    def save(self, *args, **kwargs) -> None:
        refuse_if_frozen(self.run)
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        refuse_if_frozen(self.run)
        return super().delete(*args, **kwargs)

    @property
    def due(self) -> Decimal:
        """The amount to transfer: the net pay, less the amount that the corrected payslip paid already."""
        return self.net - self.already_paid


class PayslipLine(models.Model):
    payslip = models.ForeignKey(Payslip, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=20)
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=10, choices=Kind)
    basis = models.CharField(max_length=80, blank=True)
    amount = money()

    objects = FreezingLineQuerySet.as_manager()

    class Meta:
        ordering = ["payslip", "position"]
        constraints = [
            models.UniqueConstraint("payslip", "position", name="one_line_a_position"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.amount}"

    def save(self, *args, **kwargs) -> None:
        refuse_if_frozen(self.payslip.run)
        super().save(*args, **kwargs)

    def delete(self, *args, **kwargs):
        refuse_if_frozen(self.payslip.run)
        return super().delete(*args, **kwargs)


def refuse_if_frozen(run: PayRun) -> None:
    if run.frozen:
        raise FrozenError(
            f"The run for {run} is {run.get_status_display().lower()}, so its payslips are frozen. "
            "Correct a payslip from its page instead."
        )
