"""The page that confirms a sign-in of the CLI (``heroku login``) with e-mail and password, or an API token."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from greenroom.accounts.actions import authentication, sign_ins
from greenroom.accounts.models import SignIn
from greenroom.accounts.rules import Actor
from greenroom.basics.errors import GreenroomError
from greenroom.entrypoints.web import pages

PAGE = "greenroom/sign_in.html"
WRONG = "No account has this e-mail and password."


@never_cache
@csrf_protect
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest, secret: str) -> HttpResponse:
    """Show the sign-in request and a form; after a POST, the result. Works without JavaScript. Counts against the
    address's rate limit.
    """
    if (refusal := pages.too_many(request, PAGE)) is not None:
        return refusal
    try:
        row = sign_ins.of_page(secret)
    except GreenroomError as error:
        return _show(request, None, status=404, title="This sign-in has ended", error=str(error))
    if request.method == "GET":
        return _show(request, row)
    if "refuse" in request.POST:
        sign_ins.refuse(row=row)
        return _show(request, None, title="Sign-in denied", text="The command was not signed in.")
    return _allow(request, row)


def _allow(request: HttpRequest, row: SignIn) -> HttpResponse:
    actor = _actor(request)
    if actor is None:
        sign_ins.missed(row=row)
        return _show(request, row, status=403, error=WRONG)
    try:
        sign_ins.approve(row=row, actor=actor)
    except GreenroomError as error:
        return _show(request, row, status=error.status, error=str(error))
    return _show(
        request, None, title="Signed in", text=f"The command is signed in as {actor.email}. You can close this page."
    )


def _actor(request: HttpRequest) -> Actor | None:
    email, secret = request.POST.get("email", "").strip(), request.POST.get("password", "")
    address = request.META.get("REMOTE_ADDR", "")
    if secret.startswith("grm_"):
        actor = authentication.by_token(secret.strip(), address=address)
        return actor if actor and email.lower() in ("", actor.email.lower()) else None
    return authentication.by_password(email, secret, address=address)


def _show(
    request: HttpRequest,
    row: SignIn | None,
    *,
    status: int = 200,
    title: str = "Sign in a command",
    text: str = "",
    error: str = "",
) -> HttpResponse:
    context = {"row": row, "title": title, "text": text, "error": error, "email": request.POST.get("email", "")}
    return pages.show(request, PAGE, context, status=status)
