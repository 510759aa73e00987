"""URLs of the Django part of the web process: the API's routes, then the pages."""

from __future__ import annotations

import importlib
import pkgutil

from django.urls import path

from greenroom.entrypoints import api
from greenroom.entrypoints.api.routing import urlpatterns as api_patterns
from greenroom.entrypoints.web import invitation, sign_in

REGISTERED = tuple(
    importlib.import_module(f"{api.__name__}.{module.name}")
    for module in pkgutil.iter_modules(api.__path__)
    if module.name.startswith("views_")
)
"""All modules with routes; importing one registers its routes."""
urlpatterns = [
    path("auth/browser/<str:secret>", sign_in.page),
    path("invitations/accept/<str:secret>", invitation.page),
    *api_patterns(),
]
handler404 = "greenroom.entrypoints.api.middleware.not_found"
