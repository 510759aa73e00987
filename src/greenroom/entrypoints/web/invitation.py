"""The page of an invitation: the person sets name and password, or gets an API token, and has an account."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from greenroom.accounts.actions.profile import LEAST
from greenroom.apps.actions import invitations
from greenroom.apps.models import Invitation
from greenroom.apps.queries import invitation_of_link
from greenroom.basics.errors import GreenroomError
from greenroom.entrypoints.web import pages

PAGE = "greenroom/invitation.html"


@never_cache
@csrf_protect
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, secret: str) -> HttpResponse:
    """Show the invitation and a form; after a POST, the result. Works without JavaScript. Counts against the address's
    rate limit.
    """
    if (refusal := pages.too_many(request, PAGE)) is not None:
        return refusal
    row = invitation_of_link(secret)
    if row is None:
        return _show(request, None, status=404, title="This invitation has ended", error=_ended())
    if request.method == "GET":
        return _show(request, row)
    return _accept(request, row, secret)


def _ended() -> str:
    return f"{invitations.ENDED}\n{invitations.ASK[0].upper()}{invitations.ASK[1:]}."


def _accept(request: HttpRequest, row: Invitation, secret: str) -> HttpResponse:
    password = request.POST.get("password", "")
    if password != request.POST.get("again", ""):
        return _show(request, row, status=422, error="The two passwords differ.")
    try:
        account, token = invitations.accept(
            secret=secret,
            name=request.POST.get("name", ""),
            password=password or None,
            wants_token="token" in request.POST,
            ip=request.META.get("REMOTE_ADDR", ""),
        )
    except GreenroomError as error:
        return _show(request, row, status=error.status, error=str(error))
    context = {
        "title": "Your account is ready",
        "text": f"You are {account.email}. You can close this page.",
        "token": token,
        "origin": f"{request.scheme}://{request.get_host()}",
    }
    return pages.show(request, PAGE, context)


def _show(
    request: HttpRequest,
    row: Invitation | None,
    *,
    status: int = 200,
    title: str = "Join Greenroom",
    error: str = "",
) -> HttpResponse:
    context = {
        "row": row,
        "title": title,
        "error": error,
        "least": LEAST,
        "name": request.POST.get("name", ""),
        "token_wanted": "token" in request.POST,
    }
    return pages.show(request, PAGE, context, status=status)
