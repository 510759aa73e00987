"""Describes the state of an app or a delivery, and the next command for the user. All clients show these texts."""

from __future__ import annotations

from greenroom.app_migrations import queries as migrations
from greenroom.app_migrations.rules import migrate_command
from greenroom.apps.models import App
from greenroom.deliveries import actions, queries, rules
from greenroom.deliveries.models import Delivery
from greenroom.dynos import queries as dynos
from greenroom.releases.models import Release

PUSH = "git push greenroom HEAD:master"


def hint_of(delivery: Delivery) -> str:
    """The command that continues the delivery; empty if none is needed."""
    app, sha, release = delivery.app.name, delivery.sha[:8], delivery.release
    state = queries.state_of(delivery)
    if delivery.finished_at is None or state == "rolling_out":
        return f"greenroom deliveries:wait {sha} -a {app}" if sha else ""
    if state == "held":
        framework = migrations.framework(release) if release else ""
        return f"greenroom run -a {app} {migrate_command(framework)}"
    if delivery.state not in ("failed", "refused"):
        return ""
    if release is not None and release.status == "refused":
        return _said(release) or rules.retry_command(app, sha)
    if delivery.state == "failed" or release is not None:
        return rules.retry_command(app, sha)
    if delivery.reason.startswith(actions.PAUSED):
        return f"greenroom deploy:resume -a {app}"
    return f"greenroom checks {sha} -a {app}"


def remedy_of(delivery: Delivery) -> str:
    """The probable remedy for a failed release; empty if unknown."""
    return _said(delivery.release) if delivery.state == "failed" and delivery.release else ""


def _said(release: Release) -> str:
    """The remedy in the failure reason of a release."""
    return release.reason.partition("\nhint: ")[2]


def standing(app: App) -> tuple[str, str]:
    """Why no dyno of the app runs, and the command that starts one. Two empty texts while its dynos are starting or
    stopping.
    """
    live = dynos.live(app)
    if live is not None:
        types = dynos.process_types(live.release)
        if "web" not in types:
            return (
                f"The Procfile of v{live.release.version} has no web process.",
                "add a line `web: COMMAND` to the Procfile, commit and push",
            )
        return (
            ("web is scaled to 0.", f"greenroom ps:scale web=1 -a {app.name}")
            if not dynos.wanted(app, live.release).get("web")
            else ("", "")
        )
    newest = queries.of_app(app).first()
    if newest is None:
        return f"{app.name} has no code yet.", PUSH
    return sentence(newest), hint_of(newest) or PUSH


def sentence(delivery: Delivery) -> str:
    """``v3 was refused: required config var not set: FOO.``"""
    what = f"v{delivery.release.version}" if delivery.release else delivery.sha[:8]
    if delivery.finished_at is None:
        return f"{what} is in progress ({delivery.state.replace('_', ' ')})."
    word = {
        "refused": "was refused",
        "failed": "failed",
        "superseded": "was superseded",
        "held": "is held",
        "live": "went live",
    }[delivery.state]
    reason = delivery.reason.partition("\n")[0].rstrip(".")
    return f"{what} {word}: {reason}." if reason else f"{what} {word}."
