"""Django settings of the control plane, from GREENROOM_HOME, DATABASE_URL and SECRET_KEY only."""

from __future__ import annotations

import os
from pathlib import Path

from greenroom.accounts.rules import rate_of
from greenroom.basics.outgoing import networks
from greenroom.git.rules.submodules import HOSTS
from greenroom.project.installation import database_from_url, mail_server, number, read_installation, required

HOME = Path(required("GREENROOM_HOME"))
INSTALLATION = read_installation(HOME)
MAKE_ENGINE = "greenroom.project.drivers.make_engine"
"""For rooms that may not import the choice of the engine."""
SECRET_KEY = required("SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = ["*"]  # the API accepts any host name; requests for apps never reach this process
DATABASES = {"default": database_from_url(required("DATABASE_URL"))}
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
ROOMS = [
    "accounts",
    "apps",
    "config_vars",
    "logs",
    "slugs",
    "git",
    "addons",
    "releases",
    "builds",
    "checks",
    "dynos",
    "app_migrations",
    "router",
    "jobs",
    "deliveries",
    "webhooks",
    "sources",
    "pipelines",
]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    *[f"greenroom.{room}.apps.Config" for room in ROOMS],
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "greenroom.entrypoints.api.middleware.ApiErrors",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "greenroom.project.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent.parent / "entrypoints" / "web" / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 7 * 24 * 3600
X_FRAME_OPTIONS = "DENY"
APPEND_SLASH = False
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("GREENROOM_LOG_LEVEL", "INFO")},
}
PUSH_WAIT = float(os.environ.get("GREENROOM_PUSH_WAIT", "600"))
PRIVATE_TARGETS = networks(os.environ.get("GREENROOM_PRIVATE_TARGETS", "").split())
"""Private networks that webhooks, drains and sources may connect to, such as ``10.0.0.0/8``. Default: none."""
ACCOUNT_RATE = rate_of(os.environ.get("GREENROOM_ACCOUNT_RATE", "4500/75"))
ADDRESS_RATE = rate_of(os.environ.get("GREENROOM_ADDRESS_RATE", "600/60"))
PASSWORD_RATE = rate_of(os.environ.get("GREENROOM_PASSWORD_RATE", "10/10"))
"""Rate limits: requests per account; requests per address without valid credentials; wrong passwords per address and
per account. ``off``: no limit.
"""
ACCOUNT_APPS = number("GREENROOM_ACCOUNT_APPS", 25)
"""Maximum number of apps per account, including review apps; administrators have no limit. 0: no limit."""
ACCOUNT_CONNECTIONS = number("GREENROOM_ACCOUNT_CONNECTIONS", 500)
"""Maximum number of database connections of one account's apps, except administrators. 0: only the server's limit."""
DATABASE_MB = number("GREENROOM_DATABASE_MB", 10_000)
"""Maximum size of one database in MB; above it, the app can only read. 0: no limit."""
VOLUME_MB = number("GREENROOM_VOLUME_MB", 20_000)
"""Maximum size that a user can give one volume, in MB. 0: no limit beside the disk."""
LFS_MB = number("GREENROOM_LFS_MB", 5_000)
"""Maximum size of the files in Git LFS of one app, in MB. 0: no limit beside the disk."""
SUBMODULE_HOSTS = tuple(
    word for word in os.environ.get("GREENROOM_SUBMODULE_HOSTS", " ".join(HOSTS)).lower().split() if word != "none"
)
"""Hosts from which builds fetch submodules, such as ``github.com``; ``*``: all with https."""
MAIL_SERVER = mail_server()
"""The SMTP server that notifications by e-mail go through, as ``smtps://USER:PASSWORD@HOST``. Default: none."""
MAIL_FROM = os.environ.get("GREENROOM_MAIL_FROM", "") or "Greenroom <greenroom@localhost>"
"""The sender of this e-mail."""
