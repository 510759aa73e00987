"""``flush`` by DELETE. TRUNCATE creates new files for each table and index, even for empty ones."""

from __future__ import annotations

from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations

KEPT = {"django_content_type", "auth_permission"}
"""Tables whose rows list the models: ``migrate`` fills them, and no test changes them."""


class Operations(DatabaseOperations):
    """PostgreSQL's operations, except for the flush."""

    def sql_flush(
        self, style: Any, tables: list[str], *, reset_sequences: bool = False, allow_cascade: bool = False
    ) -> list[str]:
        """One statement list. Like TRUNCATE, it waits for every open transaction that has used a table."""
        names = [self.quote_name(table) for table in tables if table not in KEPT]
        if not names or reset_sequences:
            return super().sql_flush(style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade)
        return ["; ".join([f"LOCK TABLE {', '.join(names)}", *(f"DELETE FROM {name}" for name in names)])]


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL with these operations."""

    ops_class = Operations
