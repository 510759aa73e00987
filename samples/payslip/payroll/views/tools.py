"""Helpers for several views: pagination and CSV downloads."""

import csv

from django.core.paginator import Page, Paginator
from django.http import HttpResponse

PAGE_SIZE = 50


def page_of(request, rows, size: int = PAGE_SIZE) -> Page:
    """The requested page; the nearest one if it does not exist."""
    return Paginator(rows, size).get_page(request.GET.get("page"))


def posted(request):
    """The submitted fields, or None if the form is only displayed."""
    return request.POST if request.method == "POST" else None


def harmless(cell: object) -> object:
    """Mark text as text if a spreadsheet would read it as a formula."""
    if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + cell
    return cell


def csv_download(name: str, rows) -> HttpResponse:
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    # Spreadsheets recognise UTF-8 only with a byte order mark.
    response.write("\N{ZERO WIDTH NO-BREAK SPACE}")
    csv.writer(response).writerows([harmless(cell) for cell in row] for row in rows)
    return response
