"""The kinds of pay components and the ways to work them out. No table is needed for them."""

from django.db import models


class Kind(models.TextChoices):
    EARNING = "earning", "Earning"
    DEDUCTION = "deduction", "Deduction"
    EMPLOYER = "employer", "Employer contribution"


class Method(models.TextChoices):
    FIXED = "fixed", "Fixed amount a month"
    PER_UNIT = "per_unit", "Amount per unit"
    PERCENTAGE = "percentage", "Percentage of other components"
