"""Reads the configuration from the environment. A missing or senseless value is named, with what to do about it."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = {"1", "true", "yes", "on"}
FALSE_WORDS = {"0", "false", "no", "off", ""}
# `collectstatic` runs while the slug is built, where neither a database nor a secret is needed.
BUILDING = sys.argv[1:2] == ["collectstatic"]


def required(name: str, while_building: str) -> str:
    """The variable's value; while static files are collected, a throw-away value does."""
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
    """A yes-or-no variable; anything else than a yes or a no is refused."""
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
    """A whole number that is not negative."""
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    if not value.isdecimal():
        raise ImproperlyConfigured(
            f"the environment variable {name} is {value!r}. Use a whole number such as {default}."
        )
    return int(value)


def words(name: str) -> list[str]:
    """A list separated by commas or blanks."""
    return os.environ.get(name, "").replace(",", " ").split()
