"""The users of Payslip. A user may or may not be a staff member; `payroll` has that relation."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who signs in. A class of the project's own, so that fields can be added later."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username
