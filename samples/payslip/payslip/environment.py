"""Reads the configuration from the environment. Errors name the missing or invalid variable and the remedy."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}
# `collectstatic` runs during the build, which needs neither a database nor a secret.
BUILDING = sys.argv[1:2] == ["collectstatic"]


def required(name: str, while_building: str) -> str:
    """The variable's value; during `collectstatic` a dummy value is sufficient."""
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if BUILDING:
        return while_building
    raise ImproperlyConfigured(
        f"the environment variable {name} is not set. Set it and start again; "
        "README.md, 'Configuration', says what belongs in it."
    )


def switch(name: str, default: bool = False) -> bool:
    """A boolean variable; other values are refused."""
    value = os.environ.get(name)
    if value is None:
        return default
    word = value.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(
        f"the environment variable {name} is {value!r}. Use 1 for yes or 0 for no."
    )


def number(name: str, default: int) -> int:
    """A non-negative integer."""
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not value.isdecimal():
        raise ImproperlyConfigured(
            f"the environment variable {name} is {value!r}. Use a whole number such as {default}."
        )
    return int(value)


def words(name: str) -> list[str]:
    """A list separated by commas or spaces."""
    return os.environ.get(name, "").replace(",", " ").split()
