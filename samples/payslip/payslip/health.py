"""Two health checks: the process responds, and the database has the migrations of this release."""

import logging

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

log = logging.getLogger(__name__)
PLAIN = "text/plain; charset=utf-8"


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok\n", content_type=PLAIN)


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Not ready while the database is unreachable or lacks migrations of this release."""
    try:
        missing = missing_migrations()
    except DatabaseError as problem:
        log.warning("readyz: the database does not answer: %s", problem)
        return HttpResponse("the database does not answer\n", content_type=PLAIN, status=503)
    if missing:
        text = f"migrations to apply: {missing}; run `python manage.py migrate`\n"
        return HttpResponse(text, content_type=PLAIN, status=503)
    return HttpResponse("ready\n", content_type=PLAIN)


def missing_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
