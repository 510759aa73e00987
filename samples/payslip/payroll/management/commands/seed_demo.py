"""Creates demo data: staff, a year of paid runs, and three users."""

import secrets

from django.core.management.base import BaseCommand
from django.utils import timezone

from accounts.models import User
from payroll import demo


class Command(BaseCommand):
    help = "Make demonstration data. Running it again only adds what is missing."

    def add_arguments(self, parser) -> None:
        parser.add_argument(
            "--password",
            help="For paula, anton and stella. Without it a new one is made and printed "
            "the first time; later the passwords stay as they are.",
        )

    def handle(self, *args, password: str | None = None, **options) -> None:
        names = [username for username, *_ in demo.USERS]
        known = User.objects.filter(username__in=names).count() == len(names)
        if not password and not known:
            password = secrets.token_urlsafe(9)
        made = demo.seed(timezone.localdate(), password)
        self.stdout.write(f"{made['staff']} staff members; {made['runs']} paid runs added.")
        for username, _, group in demo.USERS:
            self.stdout.write(f"  {username:<8}{group or 'Staff member'}")
        if password:
            self.stdout.write(f"The password of all three: {password}")
        else:
            self.stdout.write("Their passwords are as before; --password sets a new one.")
