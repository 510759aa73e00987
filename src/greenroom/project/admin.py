"""``greenroom-admin``: Django's management commands for the control plane itself, mostly ``migrate`` of a server installation."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run a management command with the control plane's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    execute_from_command_line(sys.argv)
