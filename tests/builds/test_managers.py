"""Real builds with all four package managers: first, unchanged, with a comment, with a package added and with one
removed.
"""

from __future__ import annotations

import pytest

from tests.builds.hosting import ADDED, BASE, COMMENTED, FILES, SIX

pytestmark = pytest.mark.django_db(transaction=True)
MANAGERS = list(FILES)


@pytest.mark.rule("5.4", "5.5", "5.6", "5.7", "6.3", "6.5")
@pytest.mark.parametrize("manager", MANAGERS)
def test_a_comment_costs_nothing_and_a_removed_package_vanishes(workshop, manager):
    files = {**BASE, **FILES[manager](SIX)}
    first = workshop.built(files)
    assert "six" in workshop.packages(first)
    assert first.slug.manifest["package_manager"] == manager

    again = workshop.built(commit=first.commit)
    assert "Using the environment of the last build" in workshop.text
    assert again.slug == first.slug

    name = COMMENTED[manager]
    commented = workshop.built({**files, name: files[name] + "\n# why we need this\n"})
    assert "Using the environment of the last build" in workshop.text
    assert commented.slug.env_key == first.slug.env_key

    more = workshop.built({**BASE, **FILES[manager](SIX, ADDED)})
    assert workshop.packages(more) - workshop.packages(first) == {"iniconfig"}
    less = workshop.built({**BASE, **FILES[manager](ADDED)})
    assert workshop.packages(more) - workshop.packages(less) == {"six"}
