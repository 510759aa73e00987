"""URLs of the Django part of the web process: the API's table, then the pages."""

from __future__ import annotations

from greenroom.entrypoints.api import (
    views_account,
    views_addons,
    views_apps,
    views_builds,
    views_check_tokens,
    views_gate,
    views_github,
    views_keys,
    views_pg,
    views_rehearsals,
    views_releases,
    views_scans,
    views_snapshots,
    views_webhooks,
)
from greenroom.entrypoints.api.routing import urlpatterns as api_patterns

REGISTERED = (views_account, views_apps, views_builds, views_gate, views_keys, views_rehearsals, views_releases, views_webhooks)
DATA = (views_addons, views_pg, views_snapshots)
REGISTERED_FOR_CHECKS = (views_github, views_check_tokens, views_scans)
urlpatterns = api_patterns()
handler404 = "greenroom.entrypoints.api.middleware.not_found"
