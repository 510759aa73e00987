"""Tests of the embedded server's guard: when it counts as installed in all databases."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from greenroom_cli.host import migration_records


class Server:
    """Databases with and without the guard; ``broken`` ones refuse each connection, ``vanishing`` ones are gone at the
    second query.
    """

    def __init__(self, *names, broken=(), vanishing=()):
        self.names, self.broken, self.vanishing, self.looks = names, broken, vanishing, 0

    @contextmanager
    def connect(self, name):
        if name in self.broken:
            raise ConnectionError(name)
        yield self

    @contextmanager
    def transaction(self):
        yield

    def execute(self, words, parameters=()):
        self.rows = []
        if "pg_database" in words:
            self.rows = [(name,) for name in self.names if not (self.looks and name in self.vanishing)]
            self.looks += 1
        return self

    def fetchall(self):
        return self.rows

    def fetchone(self):
        return None


@pytest.mark.parametrize(
    ("server", "complete"),
    [
        (Server("d1", "d2"), True),
        (Server("d1", "d2", broken=["d1"]), False),
        (Server("d1", "d2", broken=["d1"], vanishing=["d1"]), True),
    ],
)
def test_the_next_start_tries_again_where_a_database_could_not_be_guarded(tmp_path, server, complete):
    (tmp_path / "postgres").mkdir()
    migration_records.everywhere(tmp_path, server.connect)
    assert (tmp_path / "postgres" / f"guard.{migration_records.VERSION}").exists() is complete
