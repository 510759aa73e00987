"""URLs of the Django part of the web process: the API's table, then the pages. Every ``views_`` module of the API is found by itself."""

from __future__ import annotations

from greenroom.entrypoints.api.routing import load_views
from greenroom.entrypoints.api.routing import urlpatterns as api_patterns

load_views()
urlpatterns = api_patterns()
handler404 = "greenroom.entrypoints.api.middleware.not_found"
