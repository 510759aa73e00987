"""Components of a payslip, and their rates over time. A rate for one person overrides the general rate."""

from decimal import Decimal

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q

from payroll.models.kinds import Kind, Method
from payroll.models.staff import StaffMember, UnitType, ValidityPeriod


class PayComponent(models.Model):
    code = models.SlugField(max_length=20, unique=True)
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=10, choices=Kind)
    method = models.CharField(max_length=10, choices=Method)
    order = models.PositiveSmallIntegerField(
        unique=True, help_text="Components are worked out and printed in this order."
    )
    unit_type = models.ForeignKey(
        UnitType, on_delete=models.PROTECT, null=True, blank=True, help_text="For amounts per unit."
    )
    bases = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="used_by",
        help_text="For percentages: the components, earlier in the order, that are added up.",
    )
    prorated = models.BooleanField(
        default=True, help_text="Fixed amounts only: pay by calendar days in a part month."
    )

    class Meta:
        ordering = ["order"]
        constraints = [
            models.CheckConstraint(
                condition=Q(method=Method.PER_UNIT, unit_type__isnull=False)
                | (~Q(method=Method.PER_UNIT) & Q(unit_type__isnull=True)),
                name="unit_type_only_per_unit",
                violation_error_message="Choose a unit type for an amount per unit, and only then.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.order} {self.name}"


class ComponentRate(ValidityPeriod):
    component = models.ForeignKey(PayComponent, on_delete=models.CASCADE, related_name="rates")
    staff = models.ForeignKey(
        StaffMember,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="rates",
        help_text="Empty: for everybody without a rate of their own.",
    )
    value = models.DecimalField(
        "amount or percentage", max_digits=12, decimal_places=4, validators=[MinValueValidator(0)]
    )

    class Meta:
        ordering = ["component", "staff", "valid_from"]
        constraints = [
            models.CheckConstraint(condition=Q(value__gte=0), name="rate_not_negative"),
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gte=F("valid_from")),
                name="rate_ends_after_start",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.component.name} {Decimal(self.value).normalize():f} from {self.valid_from}"

    def clean(self) -> None:
        super().clean()
        if self.component_id is None or self.valid_from is None:
            return
        others = ComponentRate.objects.filter(component=self.component_id, staff=self.staff_id)
        others = others.exclude(pk=self.pk)
        others = others.filter(Q(valid_to__isnull=True) | Q(valid_to__gte=self.valid_from))
        if self.valid_to:
            others = others.filter(valid_from__lte=self.valid_to)
        if clash := others.first():
            raise ValidationError(f"This overlaps another rate: {clash}. End that one first.")
