"""Jobs in greenroom.toml, and app.json's add-on ``scheduler``."""

from __future__ import annotations

import pytest

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import job_settings
from greenroom.buildpacks.rules.app_files import read_settings
from greenroom.buildpacks.rules.plan import _addons
from greenroom.dynos.rules import SIZES

NIGHTLY = """
[jobs.clearsessions]
schedule = "0 3 * * *"
time_zone = "Europe/Berlin"
command = "python manage.py clearsessions"
"""


def read(text: str) -> dict:
    return read_settings(text.encode())


def test_a_job_has_defaults():
    assert read(NIGHTLY)["jobs"] == {
        "clearsessions": {
            "schedule": "0 3 * * *",
            "time_zone": "Europe/Berlin",
            "command": "python manage.py clearsessions",
            "overlap": "skip",
            "catch_up": False,
            "minutes": None,
            "size": "standard-1x",
        }
    }
    assert "jobs" not in read("")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('schedule = "often"', "[jobs.clearsessions] schedule: 'often' is not a schedule"),
        ("schedule = 3", "schedule: a text is expected"),
        ('time_zone = "Mars/Olympus"', "time_zone: 'Mars/Olympus' is not a time zone"),
        ('command = ""', "command: a command"),
        ('command = "python manage.py migrate"', "migrates the database, which only a user's command may do"),
        ('overlap = "yes"', "overlap: one of skip, queue, allow is expected"),
        ('catch_up = "yes"', "catch_up: true or false"),
        ("minutes = 0", "minutes: whole minutes from 1 to 1440"),
        ("minutes = true", "minutes: whole minutes"),
        ('size = "huge"', "size: one of eco"),
        ("cron = 1", "cron: unknown key; allowed are schedule, command"),
    ],
)
def test_an_invalid_value_fails_the_build_and_is_named(line, said):
    lines = [one for one in NIGHTLY.splitlines() if one.partition(" =")[0] != line.partition(" =")[0]]
    with pytest.raises(BuildError) as caught:
        read("\n".join([*lines, line]))
    assert said in caught.value.message
    way = "remove it; greenroom run -a APP -- python manage.py migrate"
    assert caught.value.hint == (way if "migrate" in line else "docs/reference/greenroom-toml.md lists all keys")


def test_names_and_shapes_are_checked():
    for text, said in [
        ("jobs = 3", "jobs: tables such as"),
        ("[jobs]\nnightly = 3", "jobs.nightly: a table"),
        ('[jobs.Nightly_Run]\nschedule = "@daily"\ncommand = "true"', "lower-case letters"),
        ("\n".join(f'[jobs.j{n}]\nschedule = "@daily"\ncommand = "x"' for n in range(51)), "at most 50 jobs"),
    ]:
        with pytest.raises(BuildError) as caught:
            read(text)
        assert said in caught.value.message


def test_the_sizes_are_those_of_dynos():
    assert set(job_settings.SIZES) == set(SIZES)


def test_the_addon_scheduler_does_not_fail_a_push_and_names_the_way():
    (text,) = _addons({"addons": ["scheduler:standard"]}, {})
    assert text.startswith("Warning: ")
    assert "[jobs.NAME]" in text
    assert "greenroom jobs:add" in text
