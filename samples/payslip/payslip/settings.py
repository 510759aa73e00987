"""Payslip's settings. All of them come from the environment; README.md lists the variables."""

import os
import sys
import warnings
from pathlib import Path

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from payslip import environment

BASE_DIR = Path(__file__).resolve().parent.parent
TESTING = sys.argv[1:2] == ["test"]

DEBUG = environment.switch("DEBUG")
SECRET_KEY = environment.required("SECRET_KEY", while_building="only-for-collectstatic")

HEROKU_APP_NAME = os.environ.get("HEROKU_APP_NAME", "").strip()
ALLOWED_HOSTS = [".localhost", "127.0.0.1", "[::1]", *environment.words("ALLOWED_HOSTS")]
if HEROKU_APP_NAME:
    ALLOWED_HOSTS.append(f"{HEROKU_APP_NAME}.herokuapp.com")
# Newer apps have a host name with a random suffix, which the platform sets here.
ALLOWED_HOSTS += environment.words("HEROKU_APP_DEFAULT_DOMAIN_NAME")

SECURE = environment.switch("SECURE")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = environment.switch("SECURE_COOKIES", SECURE)
SECURE_SSL_REDIRECT = environment.switch("SSL_REDIRECT", SECURE)
SECURE_HSTS_SECONDS = environment.number("HSTS_SECONDS", 31_536_000 if SECURE else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_HSTS_SECONDS > 0
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
if environment.switch("TRUST_PROXY", SECURE):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 60 * 60 * 12
CSRF_TRUSTED_ORIGINS = environment.words("CSRF_TRUSTED_ORIGINS")
if not SECURE:
    # A staging proxy may forward the host without its port; the browser's Origin still has it.
    CSRF_TRUSTED_ORIGINS += ["http://*.localhost", "http://*.localhost:8080"]

INSTALLED_APPS = [
    "accounts",
    "audit",
    "payroll",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "payslip.middleware.safe_headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "audit.middleware.remember_request",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "payslip.urls"
WSGI_APPLICATION = "payslip.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASE_URL = environment.required("DATABASE_URL", while_building="sqlite://:memory:")
try:
    DATABASES = {
        "default": dj_database_url.parse(
            DATABASE_URL,
            conn_max_age=60,
            conn_health_checks=True,
            ssl_require=environment.switch("DATABASE_SSL"),
        )
    }
except (dj_database_url.ParseError, dj_database_url.UnknownSchemeError) as problem:
    raise ImproperlyConfigured(
        "the environment variable DATABASE_URL cannot be read. "
        "It has the form postgres://user:password@host:5432/name."
    ) from problem
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "sign-in"
PASSWORD_RESET_TIMEOUT = 60 * 60 * 4
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
if TESTING:
    # Tests run without collectstatic, and WhiteNoise would warn about that.
    warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

AUDITED_MODELS = [
    "accounts.User",
    "payroll.StaffMember",
    "payroll.EmploymentPeriod",
    "payroll.UnitType",
    "payroll.UnitEntry",
    "payroll.PayComponent",
    "payroll.ComponentRate",
]

LANGUAGE_CODE = "en-gb"
TIME_ZONE = os.environ.get("TIME_ZONE", "Europe/Zurich")
USE_I18N = True
USE_TZ = True
ORGANISATION = os.environ.get("ORGANISATION", "Payslip")
CURRENCY = os.environ.get("CURRENCY", "CHF")

STATIC_URL = "static/"
STATIC_ROOT = os.environ.get("STATIC_ROOT", BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]
PLAIN_STATIC = DEBUG or TESTING
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if PLAIN_STATIC
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

EMAIL_HOST = os.environ.get("EMAIL_HOST", "")
EMAIL_PORT = environment.number("EMAIL_PORT", 587)
EMAIL_HOST_USER = os.environ.get("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = environment.switch("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_HOST else 'console'}.EmailBackend"
DEFAULT_FROM_EMAIL = os.environ.get("DEFAULT_FROM_EMAIL", "payroll@localhost")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            # Tests request forbidden and missing pages on purpose.
            "level": "CRITICAL" if TESTING else "DEBUG",
        }
    },
    "root": {"handlers": ["console"], "level": "WARNING"},
}
