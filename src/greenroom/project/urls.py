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
    views_offers,
    views_pg,
    views_profile,
    views_rehearsals,
    views_releases,
    views_schema,
    views_snapshots,
    views_source_builds,
    views_sources,
    views_webhooks,
)
from greenroom.entrypoints.api.routing import urlpatterns as api_patterns

REGISTERED = (views_account, views_apps, views_builds, views_gate, views_keys, views_rehearsals, views_releases, views_webhooks)
DATA = (views_addons, views_pg, views_snapshots)
PIPELINES = (views_sources,)
REGISTERED_FOR_CHECKS = (views_github, views_check_tokens)
ABOUT_ITSELF = (views_schema, views_offers, views_profile, views_source_builds)
urlpatterns = api_patterns()
handler404 = "greenroom.entrypoints.api.middleware.not_found"
