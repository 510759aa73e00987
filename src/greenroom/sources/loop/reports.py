"""The report loop: sends statuses and deployments to the forge of an app's source.

Each report is written before its request, and each attempt is counted before it is sent. After a crash it is sent
again: a repeated status has no effect, and an existing deployment is looked up first.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from greenroom.apps import queries as apps
from greenroom.basics import outgoing
from greenroom.basics.errors import GreenroomError
from greenroom.basics.guard import Guard
from greenroom.sources import forges, queries, rules
from greenroom.sources.actions import reports as actions
from greenroom.sources.drivers.connection import judged, opened
from greenroom.sources.forges.kind import Api, Deployments, Request
from greenroom.sources.models import Report
from greenroom.sources.rules import reports

log = logging.getLogger(__name__)


class Loop:
    """Called by the worker every second. allowed: networks besides the public ones that may be contacted."""

    def __init__(self, home: Path, installation: dict[str, Any], allowed: Sequence[outgoing.Network] = ()) -> None:
        self.home, self.installation, self.allowed = home, installation, allowed
        self.guard = Guard(log)

    def turn(self) -> bool:
        """Whether more work is due immediately."""
        for source in queries.that_report():
            note = partial(actions.note_wanted, source=source)
            self.guard.run(source.pk, f"the reports of {source.app.name}", note)
        rows = actions.claim()
        for row in rows:
            try:
                self.send(row)
            except (GreenroomError, outgoing.OutgoingError) as error:
                actions.conclude(row=row, code=None, error=str(error))
            except Exception:
                log.exception("the forge of %s could not be told", row.source.app.name)
                actions.conclude(row=row, code=None, error="Greenroom failed; its log says why")
        return bool(rows)

    def send(self, row: Report) -> None:
        """Make one attempt of a claimed report and store its result."""
        api = forges.find(row.source.kind).api
        if api is None:
            actions.conclude(row=row, code=404, error="the source's forge has no API")
            return
        request = self._request(row, api)
        if request:
            answer = self._ask(row, api, request)
            error = "" if api.settled(answer.status, answer.body) else said(answer)
            actions.conclude(row=row, code=answer.status, error=error)

    def _request(self, row: Report, api: Api) -> Request | None:
        """The request for the report; None, with the failure noted, if there is no deployment for it."""
        source, place = row.source, rules.place_of(row.source.url)
        assert isinstance(place, rules.Place)
        told = reports.Told(kind=row.kind, context=row.context, state=row.state, description=row.description)
        if row.kind != "deployment":
            return api.status(source.api, place.path, row.delivery.sha, told)
        if api.deployments is None:
            actions.conclude(row=row, code=404, error="the source's forge keeps no deployments")
            return None
        number = self._number(row, api, api.deployments, place.path)
        web_url = apps.web_url(source.app, self.installation)
        return api.deployments.state(source.api, place.path, number, told, web_url) if number else None

    def _number(self, row: Report, api: Api, deployments: Deployments, repo: str) -> str:
        """The id of the delivery's deployment, created if necessary; empty, with the failure noted, on an error."""
        root, sha, delivery = row.source.api, row.delivery.sha, str(row.delivery.pk)
        number = queries.deployment_number(row)
        if not number and row.attempts > 1:
            found = self._ask(row, api, deployments.find(root, repo, sha, row.context))
            number = deployments.own(parsed(found), delivery) if found.status == 200 else ""
        if not number:
            answer = self._ask(row, api, deployments.make(root, repo, sha, row.context, delivery))
            number = deployments.number(parsed(answer)) if answer.status == 201 else ""
            if not number:
                actions.conclude(row=row, code=answer.status, error=said(answer))
                return ""
        actions.note_number(row=row, number=number)
        return number

    def _ask(self, row: Report, api: Api, request: Request) -> outgoing.Answer:
        parts = urlsplit(request.url)
        judged(parts.scheme, parts.hostname or "", outgoing.port_of(parts), self.allowed)
        headers = {
            "User-Agent": "Greenroom",
            "Content-Type": "application/json",
            **api.headers(opened(row.source, "token", self.home)),
        }
        return outgoing.request(request.method, request.url, request.data, headers, allowed=self.allowed)


def parsed(answer: outgoing.Answer) -> Any:
    """The response's JSON; None if it is invalid."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def said(answer: outgoing.Answer) -> str:
    """The forge's error message, or an empty string."""
    data = parsed(answer)
    text = data.get("message") if isinstance(data, dict) else ""
    return reports.short(f"{answer.status} {text if isinstance(text, str) else ''}")
