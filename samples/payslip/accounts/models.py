"""The users of Payslip. A user may or may not be a staff member, which `payroll` knows."""

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person who signs in; the project has its own class so that it can grow fields later."""

    def __str__(self) -> str:
        return self.get_full_name() or self.username
