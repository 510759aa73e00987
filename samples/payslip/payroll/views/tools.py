"""Helpers for several views: pagination and CSV downloads."""

import csv

from django.core.paginator import Page, Paginator
from django.http import HttpResponse

PAGE_SIZE = 50


def page_of(request, rows, size: int = PAGE_SIZE) -> Page:
    """The page that the address asks for; a page that does not exist becomes the nearest."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


def posted(request):
    """The sent fields, or None where the form is only shown."""
    return request.POST if request.method == "POST" else None


def harmless(cell: object) -> object:
    """Text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell


def csv_download(name: str, rows) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    # Spreadsheets take UTF-8 for UTF-8 only with this mark.
    response.write("\N{ZERO WIDTH NO-BREAK SPACE}")
    csv.writer(response).writerows([harmless(cell) for cell in row] for row in rows)
    return response
