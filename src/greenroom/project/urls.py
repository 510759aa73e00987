"""URLs of the Django part of the web process."""

from __future__ import annotations

urlpatterns: list = []
