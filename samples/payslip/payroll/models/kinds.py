"""The kinds of pay components and their calculation methods. They need no table."""

from django.db import models


class Kind(models.TextChoices):
    EARNING = "earning", "Earning"
    DEDUCTION = "deduction", "Deduction"
    EMPLOYER = "employer", "Employer contribution"


class Method(models.TextChoices):
    FIXED = "fixed", "Fixed amount a month"
    PER_UNIT = "per_unit", "Amount per unit"
    PERCENTAGE = "percentage", "Percentage of other components"
