"""Foreign keys point down only: a room may refer to the rooms below it, never to those above."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import call_command

LEVELS = {
    "accounts": 0,
    "apps": 1,
    "config_vars": 2,
    "logs": 3,
    "slugs": 4,
    "git": 4,
    "addons": 4,
    "releases": 6,
    "builds": 6,
    "checks": 6,
    "dynos": 7,
    "app_migrations": 8,
    "router": 9,
    "jobs": 9,
    "deliveries": 10,
    "pipelines": 11,
    "webhooks": 11,
    "sources": 11,
}


def test_foreign_keys_point_down_only():
    upward = []
    for model in apps.get_models():
        label = model._meta.app_label
        if label not in LEVELS:
            continue
        for field in model._meta.get_fields():
            target = getattr(field, "related_model", None)
            if not getattr(field, "many_to_one", False) and not getattr(field, "one_to_one", False):
                continue
            if field.auto_created or target is None or target._meta.app_label == label:
                continue
            if LEVELS[target._meta.app_label] >= LEVELS[label]:
                upward.append(f"{model._meta.label}.{field.name} -> {target._meta.label}")
    assert not upward


def test_every_room_has_a_level():
    labels = {config.label for config in apps.get_app_configs() if config.name.startswith("greenroom.")}
    assert labels == set(LEVELS)


@pytest.mark.django_db
def test_every_change_of_a_model_has_its_migration():
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
