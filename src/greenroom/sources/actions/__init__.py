"""Creates, changes and removes sources, and stores the results of fetches and webhook calls. Credentials are encrypted
and never shown again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import IntegrityError, transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics import clock, ids, outgoing
from greenroom.basics.errors import ConflictError, NotFoundError, PlatformError, UserError
from greenroom.git.rules import is_branch_name, is_sha, printable
from greenroom.sources import forges, queries, rules
from greenroom.sources.drivers.connection import judged, opened, sealed
from greenroom.sources.forges.kind import Call, Forge
from greenroom.sources.models import HookCall, Report, Source

LEASE = timedelta(minutes=20)
"""Timeout of a claimed fetch, after which another one may start; longer than the total timeout of git."""
KEPT = timedelta(days=35)
SOON = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Requested settings of a source. None: unchanged, or the default. deploy_key: a private key, or ``new`` to
    generate one.
    """

    url: str
    branch: str = ""
    kind: str = ""
    token: str | None = None
    username: str | None = None
    deploy_key: str | None = None
    known_hosts: str | None = None
    interval: int | None = None
    api: str | None = None


@transaction.atomic
def set_source(
    *, actor: Actor, app: App, home: Path, wish: Wish, allowed: Sequence[outgoing.Network] = ()
) -> tuple[Source, str]:
    """Create or change the app's source; returns (source, secret of its webhook if it is new, else empty).

    A new host discards the credentials of the previous one. UserError for invalid settings.
    """
    lock_app(app.pk)
    place = _place(wish.url, allowed)
    row = Source.objects.filter(app=app).first()
    secret = "" if row else ids.new_secret(24)
    if row is None:
        row = Source(app=app, hook=ids.new_secret(24), interval=rules.INTERVAL)
        row.secret = sealed(row, "secret", secret, home)
    elif _host(row) != (place.host, place.port, place.scheme):
        row.key, row.public_key, row.token, row.username, row.known_hosts, row.api = b"", "", b"", "", "", ""
    _fill(row, home, wish, place, allowed)
    row.account_id = actor.account_id
    row.state, row.problem, row.hint, row.failures, row.seen, row.accepted = "new", "", "", 0, "", ""
    row.wanted_at = row.next_at = clock.now()
    row.save()
    audit(actor=actor, action="source.set", app=app, detail=_detail(row))
    return row, secret


def _place(url: str, allowed: Sequence[outgoing.Network]) -> rules.Place:
    place = rules.place_of(url)
    if isinstance(place, str):
        raise UserError(f"The URL {place}.", hint="for example https://github.com/TEAM/REPO.git")
    problem = outgoing.host_problem(place.host, allowed)
    if problem:
        raise UserError(f"The URL {problem}.", hint=outgoing.allow_hint(place.host))
    if place.scheme == "http":
        _plain_http(place, allowed)
    return place


def _plain_http(place: rules.Place, allowed: Sequence[outgoing.Network]) -> None:
    try:
        judged("http", place.host, place.port, allowed)
    except outgoing.OutgoingError as error:
        if error.kind == outgoing.NO_DNS:  # the URL may be correct
            raise PlatformError(
                str(error), hint="try again in a minute; the operator looks at the name servers of this machine"
            ) from error
        raise UserError(str(error), hint="use https:// or ssh") from error


def _host(row: Source) -> tuple[str, int, str]:
    place = rules.place_of(row.url)
    return ("", 0, "") if isinstance(place, str) else (place.host, place.port, place.scheme)


def _fill(row: Source, home: Path, wish: Wish, place: rules.Place, allowed: Sequence[outgoing.Network]) -> None:
    row.url, row.branch = wish.url, wish.branch or row.branch or row.app.protected_branch
    if not is_branch_name(row.branch) or row.branch.startswith("refs/"):
        raise UserError(
            f"{row.branch[:80]!r} is not the name of a branch.",
            hint="--branch master; pull requests and tags are not followed",
        )
    before, row.kind = row.kind, wish.kind or forges.guess(place.host).name
    api = _forge(row.kind, wish).api
    if wish.interval is not None:
        row.interval = _interval(wish.interval)
    if wish.api is not None or not row.api or row.kind != before:  # another kind of forge has another API URL
        row.api = _api(wish.api or (api.root(place) if api else ""), allowed)
    if wish.token is not None:
        row.token = sealed(row, "token", _line("token", wish.token), home)
    if wish.username is not None:
        row.username = _line("username", wish.username)
    if wish.known_hosts is not None:
        row.known_hosts = _hosts(wish.known_hosts, place.host)
    if wish.deploy_key is not None:
        if place.scheme != "ssh":
            raise UserError(
                "A deploy key is for ssh, and the URL is not.",
                hint=f"source:set git@{place.host}:{place.path}.git --deploy-key",
            )
        private, row.public_key = key_pair(wish.deploy_key, row.app.name)
        row.key = sealed(row, "key", private, home)


def _forge(kind: str, wish: Wish) -> Forge:
    if kind not in forges.names():
        raise UserError(f"kind must be one of {', '.join(forges.names())}.")
    forge = forges.find(kind)
    if forge.api is None and wish.api:
        *most, last = forges.with_api()
        raise UserError(f"A plain {kind} host has no API.", hint=f"give --kind {', '.join(most)} or {last} with --api")
    return forge


def _interval(seconds: int) -> int:
    if seconds and not rules.SHORTEST <= seconds <= rules.LONGEST:
        raise UserError(f"interval must be 0 (never) or {rules.SHORTEST} to {rules.LONGEST} seconds.")
    return seconds


def _api(url: str, allowed: Sequence[outgoing.Network]) -> str:
    url = url.rstrip("/")
    problem = outgoing.url_problem(url) if url else ""
    problem = problem or (outgoing.host_problem(urlsplit(url).hostname or "", allowed) if url else "")
    if problem:
        raise UserError(f"api {problem}.")
    return url


def _line(name: str, text: str) -> str:
    text = text.strip()
    if len(text) > 4000 or not text.isascii() or not text.isprintable():
        raise UserError(f"{name} must be one line of printable ASCII characters.")
    return text


def _hosts(text: str, host: str) -> str:
    """Lines of a known_hosts file, rewritten for the host of the URL."""
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.startswith(("#", "@"))]
    keys = [words[1:3] if len(words) > 2 else words for words in lines]
    if not keys or any(
        len(pair) != 2 or not rules.fingerprint(pair[1]) or not pair[0].startswith(("ssh-", "ecdsa-", "sk-"))
        for pair in keys
    ):
        raise UserError(
            "known_hosts holds no host key that can be read.",
            hint=f"ssh-keyscan {host} > FILE, and compare it with what its operator publishes",
        )
    return "".join(f"{host} {kind} {key}\n" for kind, key in keys[:10])


def key_pair(given: str, name: str) -> tuple[str, str]:
    """(private key, public key) in OpenSSH format: from the given private key, or generated for ``new``.

    UserError for an unusable key.
    """
    if given == "new":
        key: Any = Ed25519PrivateKey.generate()
    else:
        try:
            key = serialization.load_ssh_private_key(given.strip().encode() + b"\n", password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UserError(
                "The deploy key is no private key in OpenSSH's form without a passphrase.",
                hint="ssh-keygen -t ed25519 -N '' -f FILE",
            ) from error
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} greenroom-{name}"


def _detail(row: Source) -> dict[str, object]:
    return {
        "url": row.url,
        "branch": row.branch,
        "kind": row.kind,
        "key": rules.fingerprint(row.public_key),
        "token": bool(row.token),
    }


@transaction.atomic
def unset(*, actor: Actor, app: App) -> Source:
    """Remove the app's source with its credentials, calls and reports. NotFoundError if there is none."""
    row = queries.of_app(app)
    audit(actor=actor, action="source.unset", app=app, detail=_detail(row))
    Source.objects.filter(pk=row.pk).delete()
    return row


@transaction.atomic
def rotate_secret(*, actor: Actor, app: App, home: Path, hours: float = rules.OVERLAP_HOURS) -> tuple[Source, str]:
    """A new secret for the webhook; the previous one stays valid for ``hours``."""
    if not 0 <= hours <= 24 * 30:
        raise UserError("overlap must be 0 to 720 hours.")
    row = Source.objects.select_for_update(no_key=True).select_related("app").get(pk=queries.of_app(app).pk)
    secret = ids.new_secret(24)
    row.previous, row.previous_until = (row.secret, clock.now() + timedelta(hours=hours)) if hours else (b"", None)
    row.secret = sealed(row, "secret", secret, home)
    row.save(update_fields=["secret", "previous", "previous_until", "updated_at"])
    audit(actor=actor, action="source.rotate", app=app, detail={"overlap_hours": hours})
    return row, secret


@transaction.atomic
def ask(*, source: Source) -> None:
    """Request a fetch as soon as possible. Multiple requests cause one fetch."""
    now = clock.now()
    Source.objects.filter(pk=source.pk).update(wanted_at=now, next_at=now, updated_at=now)


@transaction.atomic
def accept(*, actor: Actor, app: App, commit: str) -> Source:
    """Allow the app's branch to follow the source to this commit, which drops other commits.

    ConflictError unless the source is waiting for this confirmation.
    """
    row = Source.objects.select_for_update(no_key=True).select_related("app").get(pk=queries.of_app(app).pk)
    if row.state != "rewritten":
        raise ConflictError(
            f"{app.name} follows its source without a question.", hint=f"greenroom source -a {app.name}"
        )
    if not is_sha(row.seen) or len(commit) < 7 or not row.seen.startswith(commit.lower()):
        text = f"{commit[:40]} is not where {row.branch} of the source is: that is {row.seen[:8]}."
        raise NotFoundError(text, hint=f"greenroom source:accept {row.seen[:8]} -a {app.name}")
    row.accepted, row.accepted_by_id = row.seen, actor.account_id
    row.save(update_fields=["accepted", "accepted_by", "updated_at"])
    audit(actor=actor, action="source.accept", app=app, detail={"commit": row.seen, "branch": row.branch})
    ask(source=row)
    return row


# ---- webhooks --------------------------------------------------------------------------------------------------------


def secrets_of(source: Source, home: Path) -> list[str]:
    """The secrets that are now valid for the signature of a call."""
    held = [opened(source, "secret", home)]
    if source.previous and source.previous_until and source.previous_until > clock.now():
        held.append(opened(source, "previous", home))
    return held


@transaction.atomic
def note_call(*, source: Source, call: Call, look: bool, said: str) -> bool:
    """Record a signed call, and request a fetch if it asks for one. False, without effect, for a repeated call."""
    if call.delivery:
        try:
            with transaction.atomic():
                HookCall.objects.create(
                    source=source, delivery=call.delivery, event=printable(call.event, 60), said=said[:200]
                )
        except IntegrityError:
            return False
    if look:
        ask(source=source)
    return True


# ---- fetches ---------------------------------------------------------------------------------------------------------


@transaction.atomic
def claim(limit: int, busy: Sequence[UUID] = ()) -> list[Source]:
    """Claim due sources for one fetch each: no other process claims them until the result is noted or the lease
    expires.

    busy: those that the caller is fetching; a fetch requested meanwhile is due after the result is noted.
    """
    now = clock.now()
    rows = list(
        queries.due(now)
        .exclude(pk__in=busy)
        .select_for_update(no_key=True, skip_locked=True, of=("self",))
        .select_related("app")[:limit]
    )
    for row in rows:
        row.next_at = now + LEASE
        Source.objects.filter(pk=row.pk).update(next_at=row.next_at)
    return rows


@transaction.atomic
def note(
    *, source: Source, began: Any, state: str, problem: str = "", hint: str = "", soon: bool = False, **columns: Any
) -> None:
    """Store the result of a fetch that ``began`` then and the time of the next one: immediately if requested since."""
    row = (
        Source.objects.select_for_update(no_key=True).filter(pk=source.pk, url=source.url, branch=source.branch).first()
    )
    if row is None:  # unset or changed meanwhile; it will be fetched again
        return
    now = clock.now()
    row.failures = row.failures + 1 if state == "failing" else 0
    row.state, row.problem, row.hint, row.looked_at = state, printable(problem, 2000), printable(hint, 500), now
    row.next_at = (
        now + timedelta(seconds=rules.pause(row.interval, row.failures)) if row.interval or row.failures else None
    )
    if soon or (row.wanted_at and row.wanted_at > began):
        row.next_at = now + SOON
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()


def begin() -> None:
    """At the start of a worker, make all sources due: a crash may have interrupted their fetches."""
    Source.objects.exclude(next_at=None).update(next_at=clock.now())


def tidy() -> None:
    """Delete old calls, which no forge repeats any more, and old reports."""
    HookCall.objects.filter(at__lt=clock.now() - KEPT).delete()
    Report.objects.filter(created_at__lt=clock.now() - KEPT).delete()
