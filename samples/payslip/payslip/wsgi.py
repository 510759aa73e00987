"""The web process's entry point. A configuration error ends it with one readable line."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payslip.settings")

try:
    application = get_wsgi_application()
except ImproperlyConfigured as problem:
    sys.stderr.write(f"Payslip cannot start: {problem}\n")
    # gunicorn takes 3 for "does not boot" and stops, instead of trying again for ever.
    sys.exit(3)
