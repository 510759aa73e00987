"""A fake Greenroom that answers HTTP from a table: real sockets, recorded requests, and responses that a test may
replace.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cli.rows import (
    APP,
    BUILD,
    IGNORED,
    REHEARSAL,
    SHA,
    T0,
    T1,
    annotation,
    app,
    build,
    check,
    delivery,
    dyno,
    egress,
    job,
    job_run,
    mail,
    mail_info,
    mail_trap,
    migrations,
    release,
    restore,
    slug,
    snapshot,
    source,
    volume,
    volume_restore,
    volume_snapshot,
)

TOKEN = "grm_alice"
ACCOUNT_TOKEN = {
    "id": "9c2b1f3a-0000-4000-8000-000000000002",
    "description": "laptop",
    "scope": ["global"],
    "last_four": "ab12",
    "session": True,
    "created_at": T0,
}
INVITATION = {
    "id": "1f3a9c2b-0000-4000-8000-000000000001",
    "email": "dora@example.com",
    "is_admin": False,
    "app": {"id": "1", "name": APP},
    "role": "viewer",
    "inviter": "alice@example.com",
    "expires_at": T1,
    "created_at": T0,
}
BUILDPACKS = [{"ordinal": 0, "buildpack": {"url": "urn:buildpack:heroku/python", "name": "heroku/python"}}]


@dataclass
class Request:
    """One received request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Reply:
    """A response: JSON unless ``raw`` is given. ``cut``: the connection is closed in the middle of it."""

    data: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    kind: str = "application/json"
    cut: bool = False


Answer = Callable[[Request], Any]


class FakeGreenroom:
    """The server. ``config`` is its state; ``on`` replaces a response; ``requests`` are the received requests."""

    def __init__(self) -> None:
        self.tokens = {TOKEN, "grm_fresh", "grm_page", "grm_own", "grm_other"}
        self.requests: list[Request] = []
        self.config = {"DEBUG": "1", "SECRET_KEY": "s3cret", "EMPTY": ""}
        self.routes: list[tuple[str, re.Pattern[str], Answer]] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.002}, daemon=True).start()
        for method, pattern, data in usual(self):
            self.on(method, pattern, data)

    def on(self, method: str, pattern: str, data: Any) -> None:
        """Answer ``method pattern`` (a regular expression; ``A`` at its start is /apps/APP) with data, a Reply, or a
        function of the request.
        """
        full = pattern.replace("A", f"/apps/{APP}", 1) if pattern.startswith("A") else pattern
        self.routes.insert(0, (method, re.compile(full + r"\Z"), data if callable(data) else lambda request: data))

    def refuse(
        self, method: str, pattern: str, status: int, message: str, hint: str = "", id: str = "invalid_params"
    ) -> None:
        """Answer with an error in the API's shape."""
        text = f"{message}\nhint: {hint}" if hint else message
        self.on(
            method, pattern, Reply({"id": id, "message": text, "url": "", **({"hint": hint} if hint else {})}, status)
        )

    def asked(self, method: str, part: str = "") -> list[Request]:
        """The requests with that method and ``part`` in the path."""
        return [request for request in self.requests if request.method == method and part in request.path]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request: Request) -> Reply:
        self.requests.append(request)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        open_door = request.path.startswith(("/streams/", "/auth")) or request.path == "/health" or kind == "Basic"
        if not open_door and token not in self.tokens:
            body = {"id": "unauthorized", "message": "Missing, invalid or expired credentials."}
            return Reply(body, 401)
        for method, pattern, answer in self.routes:
            if method == request.method and pattern.match(request.path):
                data = answer(request)
                return data if isinstance(data, Reply) else Reply(data)
        body = {"id": "not_found", "message": f"{request.method} {request.path} does not exist."}
        return Reply(body, 404)

    def _handler(fake) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                size = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(size)
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, unquote(parts.path), query, headers, json.loads(text) if text else None)
                reply = fake.answer(request)
                body = json.dumps(reply.data).encode() if reply.raw is None else reply.raw
                self.send_response(reply.status)
                self.send_header("Content-Type", reply.kind)
                self.send_header("Content-Length", str(len(body) + 1000 * reply.cut))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = self.close_connection or reply.cut

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _serve

            def log_message(self, *words: Any) -> None:
                pass

        return Handler


def usual(fake: FakeGreenroom) -> list[tuple[str, str, Any]]:
    """The responses of a healthy installation with one app."""
    return [*place(), *running(fake), *planned(), *building(fake), *gate(), *data(fake)]


def place() -> list[tuple[str, str, Any]]:
    """Accounts and apps."""

    def described(request: Request) -> dict[str, Any]:
        return {**app(), **(request.body or {})}

    return [
        ("GET", "/health", {"status": "ok", "version": "0.1.0", "mode": "development"}),
        ("GET", "/account", {"id": "1", "email": "alice@example.com"}),
        ("GET", "/accounts", [{"email": "alice@example.com", "name": "Alice", "is_admin": True, "created_at": T0}]),
        ("GET", "/accounts/[^/]+/tokens", [ACCOUNT_TOKEN]),
        ("DELETE", "/accounts/[^/]+/tokens", {"revoked": 2}),
        ("DELETE", "/accounts/[^/]+/tokens/[^/]+", ACCOUNT_TOKEN),
        ("POST", "/accounts/[^/]+/actions/[a-z]+", {"email": "bob@example.com"}),
        ("DELETE", "/accounts/[^/]+", {"email": "bob@example.com"}),
        ("GET", "/invitations", [INVITATION]),
        ("POST", "/invitations", Reply({**INVITATION, "url": "http://localhost:5000/invitations/accept/xyz"}, 201)),
        ("DELETE", "/invitations/[^/]+", INVITATION),
        ("POST", "/accounts", lambda request: Reply({**request.body, "token": "grm_bob"}, 201)),
        (
            "POST",
            "/accounts/[^/]+/token",
            lambda request: Reply({"email": request.path.split("/")[2], "token": "grm_new"}, 201),
        ),
        ("GET", "/apps", [app(), app("pensions", "carol@example.com")]),
        ("POST", "/apps", lambda request: Reply(app(request.body.get("name") or "quiet-meadow-1"), 201)),
        ("GET", "A", app()),
        ("PATCH", "A", described),
        ("DELETE", "A", app()),
    ]


def planned() -> list[tuple[str, str, Any]]:
    """One job, and its last run."""
    return [
        ("GET", "A/jobs", [job()]),
        (
            "POST",
            "A/jobs",
            lambda request: Reply(job(name=request.body["name"], schedule=request.body["schedule"]), 201),
        ),
        ("GET", "A/jobs/[^/]+", job()),
        ("DELETE", "A/jobs/[^/]+", job()),
        ("POST", "A/jobs/[^/]+/actions/run", Reply(job_run(17, state="waiting", dyno=None), 202)),
        ("POST", "A/jobs/[^/]+/actions/(pause|resume)", job()),
        ("GET", "A/job-runs", [job_run()]),
        ("GET", r"A/job-runs/\d+", lambda request: job_run(int(request.path.rpartition("/")[2]), last_lines="bye")),
    ]


def running(fake: FakeGreenroom) -> list[tuple[str, str, Any]]:
    """Config vars, releases, dynos and logs."""

    def change(request: Request) -> Reply:
        for key, value in request.body.items():
            if value is None:
                fake.config.pop(key, None)
            else:
                fake.config[key] = value
        return Reply(dict(fake.config), 200, {"X-Greenroom-Release": "v13", "X-Greenroom-Undo": "v12"})

    formation = [
        {"type": "web", "quantity": 1, "size": "standard-1x", "command": "gunicorn payslip.wsgi"},
        {"type": "worker", "quantity": 0, "size": "standard-1x", "command": "celery"},
    ]
    log = f"{T0} app[web.1]: hello\n{T0} heroku[router]: GET /\n".encode()
    return [
        ("GET", "A/config-vars", lambda request: dict(fake.config)),
        ("PATCH", "A/config-vars", change),
        ("GET", "A/releases", [release(12, current=True), release(11, description="Set DEBUG config vars")]),
        ("GET", "A/releases/current", lambda request: {**release(12, current=True), "eligible_for_rollback": True}),
        ("GET", r"A/releases/v?\d+", lambda request: release(int(request.path.rpartition("/")[2].lstrip("v")))),
        ("POST", "A/releases", Reply(release(13, description="Rollback to v11", status="pending"), 201)),
        ("GET", "A/formation", formation),
        ("PATCH", "A/formation", lambda request: [{**formation[0], "quantity": 2}]),
        ("GET", "A/dynos", [dyno("web.1"), dyno("run.4821", command="bash")]),
        ("GET", "A/dynos/[^/]+", lambda request: dyno("run.1", state="complete", exit_code=0, exit_reason="exit")),
        ("POST", "A/dynos", lambda request: Reply(dyno("run.1", attach_url="rendezvous://localhost:1/x"), 201)),
        ("DELETE", "A/dynos(/[^/]+)?", Reply({}, 202)),
        ("POST", "A/dynos/[^/]+/actions/stop", Reply({}, 202)),
        ("POST", "A/log-sessions", lambda request: Reply({"logplex_url": f"{fake.url}/streams/logs/l1"}, 201)),
        ("GET", "/streams/logs/l1", Reply(raw=log, kind="text/plain")),
    ]


def building(fake: FakeGreenroom) -> list[tuple[str, str, Any]]:
    """Slugs and builds."""
    cache = {
        "size": 1_500_000,
        "shared_size": 80_000_000,
        "total_size": 81_500_000,
        "budget": 5_000_000_000,
        "generation": 1,
        "purged_at": T0,
    }
    return [
        ("GET", "A/slugs/current", lambda request: slug()),
        ("GET", "A/slugs/current/sbom", lambda request: {"bomFormat": "CycloneDX", "components": []}),
        ("GET", "A/build-cache", cache),
        ("GET", "A/buildpack-installations", BUILDPACKS),
        ("PUT", "A/buildpack-installations", BUILDPACKS),
        ("GET", "A/build-vars", {"names": ["TOKEN"], "always": ["PIP_EXTRA_INDEX_URL"]}),
        ("PATCH", "A/build-vars", {"names": ["TOKEN"], "always": ["PIP_EXTRA_INDEX_URL"]}),
        ("DELETE", "A/build-cache", cache),
        ("GET", "A/builds", lambda request: [_absolute(fake, build())]),
        ("GET", f"A/builds/{BUILD}", lambda request: _absolute(fake, build())),
        ("GET", "/streams/output/b1", Reply(raw=b"-----> Python app detected\n-----> Done\n", kind="text/plain")),
    ]


def gate() -> list[tuple[str, str, Any]]:
    """Deliveries, checks and migrations."""
    return [
        ("GET", "A/deliveries", [delivery("live")]),
        ("GET", "A/deliveries/[^/]+", delivery("live")),
        ("POST", "A/deliveries/[^/]+/actions/retry", Reply(delivery("releasing"), 202)),
        ("GET", "A/checks", [check("tests"), check("scan", "failure", title="2 new findings", annotations_count=1)]),
        ("GET", r"A/checks/[^/]+/annotations", [annotation()]),
        ("GET", r"A/checks/[^/]+/sarif", {"version": "2.1.0", "runs": []}),
        (
            "GET",
            "A/check-tokens",
            [
                {
                    "id": "c0ffee00-1",
                    "token": "grm_...beef",
                    "checks": ["ci/build"],
                    "pinned": ["ci/build"],
                    "description": "",
                    "user": {"email": "alice@example.com"},
                    "created_at": T0,
                    "used_at": None,
                    "expires_at": None,
                }
            ],
        ),
        ("GET", "A/ignores", [IGNORED]),
        ("POST", "A/ignores", lambda request: Reply({**IGNORED, **request.body}, 201)),
        ("DELETE", "A/ignores/[^/]+", IGNORED),
        ("GET", "A/gate", {"two_people": False, "stale_after": 120}),
        ("PATCH", "A/gate", lambda request: {"two_people": False, "stale_after": 120, **request.body}),
        (
            "POST",
            "A/scans",
            Reply(
                [
                    check(
                        "scan/bandit",
                        "failure",
                        title="1 new finding, first: a.py:2 B307 eval",
                        notes=["1 new finding ignored."],
                    )
                ],
                201,
            ),
        ),
        ("POST", "A/checks/actions/rerun", [check("tests", None, attempt=2)]),
        ("GET", "A/overrides", []),
        (
            "POST",
            "A/overrides",
            lambda request: Reply({**request.body, "actor": "alice@example.com", "holds": True, "created_at": T0}, 201),
        ),
        ("GET", "A/migrations", migrations()),
        ("GET", "A/rehearsals/1", REHEARSAL),
    ]


def data(fake: FakeGreenroom) -> list[tuple[str, str, Any]]:
    """Domains, databases, the source, the audit log."""
    return [
        (
            "GET",
            "A/domains",
            [
                {"id": "n1", "hostname": f"{APP}.localhost", "kind": "heroku"},
                {"id": "n2", "hostname": "pay.example.com", "kind": "custom"},
            ],
        ),
        ("POST", "A/domains", lambda request: Reply({"hostname": request.body["hostname"].lower()}, 201)),
        ("DELETE", "A/domains/[^/]+", {"hostname": "pay.example.com"}),
        *certificates(),
        (
            "GET",
            "/account/app-transfers",
            [
                {
                    "app": {"name": "ach-payslip-staging"},
                    "owner": {"email": "alice@example.com"},
                    "recipient": {"email": "bob@example.com"},
                    "state": "pending",
                }
            ],
        ),
        (
            "GET",
            "A/collaborators",
            [
                {"role": "owner", "user": {"email": "alice@example.com"}},
                {"role": "viewer", "user": {"email": "bob@example.com"}},
            ],
        ),
        (
            "POST",
            "A/collaborators",
            lambda request: Reply({"role": request.body["role"], "user": {"email": request.body["user"]}}, 201),
        ),
        ("DELETE", "A/collaborators/[^/]+", {"role": "viewer", "user": {"email": "bob@example.com"}}),
        (
            "GET",
            "A/addons",
            [
                {
                    "name": "postgresql-1",
                    "plan": {"name": "heroku-postgresql:essential-0"},
                    "state": "provisioned",
                    "config_vars": ["DATABASE_URL"],
                }
            ],
        ),
        (
            "GET",
            "A/pg",
            {
                "name": "postgresql-1",
                "version": "18.1",
                "size_bytes": 8_200_000,
                "tables": 12,
                "connections": 3,
                "connection_limit": 20,
                "url_host": "127.0.0.1:5003",
                "state": "provisioned",
                "plan": "essential-0",
            },
        ),
        ("GET", "A/source", source()),
        ("PUT", "A/source", lambda request: Reply(source(url=request.body["url"], secret="5ec2e7", state="new"), 201)),
        ("DELETE", "A/source", source()),
        ("POST", "A/source/actions/[^/]+", lambda request: Reply(source(secret="0e00"), 202)),
        ("GET", "A/egress", egress()),
        ("PATCH", "A/egress", Reply(egress(), headers={"X-Greenroom-Release": "v13"})),
        ("GET", "A/volumes", [volume()]),
        ("GET", "A/volumes/[^/]+", volume()),
        ("POST", "A/volumes", Reply(volume(), 201)),
        ("PATCH", "A/volumes/[^/]+", volume()),
        ("DELETE", "A/volumes/[^/]+", volume(state="deprovisioned")),
        ("GET", "A/volumes/[^/]+/snapshots", [volume_snapshot()]),
        ("GET", "A/volumes/[^/]+/snapshots/[^/]+", volume_snapshot()),
        ("POST", "A/volumes/[^/]+/snapshots", Reply(volume_snapshot(state="wanted"), 201)),
        ("DELETE", "A/volumes/[^/]+/snapshots/[^/]+", volume_snapshot()),
        ("POST", "A/volumes/[^/]+/snapshots/[^/]+/actions/restore", Reply(volume_restore("wanted"), 202)),
        ("GET", "A/pg/snapshots", [snapshot("b002", kind="before_migrate", reason=None), snapshot()]),
        ("GET", "A/pg/snapshots/[^/]+", snapshot()),
        ("POST", "A/pg/snapshots", lambda request: Reply(snapshot(state="wanted", **request.body), 201)),
        ("PATCH", "A/pg/snapshots/[^/]+", lambda request: snapshot(**request.body)),
        ("DELETE", "A/pg/snapshots/[^/]+", snapshot()),
        ("POST", "A/pg/snapshots/[^/]+/actions/restore", Reply(restore("wanted"), 202)),
        ("GET", "A/pg/restores/[^/]+", restore()),
        (
            "GET",
            "/audit",
            [
                {
                    "id": 1,
                    "created_at": T0,
                    "actor": "alice@example.com",
                    "action": "config.change",
                    "app": APP,
                    "detail": {"keys": ["DEBUG"]},
                }
            ],
        ),
        ("GET", "/audit/verification", {"intact": True}),
        *pipelines(fake),
        (
            "GET",
            "/oauth/authorizations",
            [
                {
                    "id": "70cec0de-1",
                    "access_token": {"token": "grm_...beef"},
                    "description": "CI",
                    "scope": ["write"],
                    "created_at": T0,
                }
            ],
        ),
        ("POST", "/oauth/authorizations", Reply({"id": "70cec0de-2", "access_token": {"token": "grm_new"}}, 201)),
        ("DELETE", "/oauth/authorizations/[^/]+", {"id": "70cec0de-1"}),
    ]


def _mail() -> list[tuple[str, str, Any]]:
    content = {"name": "invoice.pdf", "type": "application/pdf", "size": 4, "content": "JVBERv8="}
    return [
        ("GET", "A/mail", [mail(12), mail(11)]),
        ("GET", "A/mail/[^/]+", mail_info()),
        ("GET", "A/mail/[^/]+/(raw|attachments/3)", content),
        ("DELETE", "A/mail", {"cleared": 2}),
        ("GET", "A/mail-trap", mail_trap()),
        ("POST", "A/mail-trap/allowed", lambda request: mail_trap(allowed=[request.body["entry"]])),
        ("DELETE", "A/mail-trap/allowed/.+", mail_trap(allowed=[])),
        ("PUT", "A/mail-trap/relay", lambda request: mail_trap(relay=request.body["url"])),
        ("DELETE", "A/mail-trap/relay", mail_trap(relay=None)),
    ]


def certificates() -> list[tuple[str, str, Any]]:
    """One certificate, one drain, one notification, two mails."""
    facts = {
        "acm": False,
        "ca_signed?": False,
        "self_signed?": True,
        "cert_domains": ["pay.example.com"],
        "expires_at": T1,
        "starts_at": T0,
        "issuer": "CN=pay.example.com",
        "subject": "CN=pay.example.com",
    }
    row = {"id": "s1", "name": "stegosaurus-1", "ssl_cert": facts, "domains": ["n2"]}
    drain = {
        "id": "l1",
        "url": "https://logs.example.com/x",
        "token": "d.0a1b",
        "sent_lines": 12,
        "sent_at": T1,
        "error": None,
    }
    sent = {"id": "w1", "event": "live", "status": "succeeded", "num_attempts": 1, "error": None, "updated_at": T1}
    notification = {
        "id": "n1",
        "app": None,
        "channel": "email",
        "target": "mailto:ops@example.com",
        "events": ["live", "failed"],
        "last_delivery": sent,
    }
    return [
        ("GET", "A/notifications", [notification]),
        ("POST", "A/notifications", Reply(notification, 201)),
        ("GET", "A/notifications/n1", notification),
        ("DELETE", "A/notifications/n1", notification),
        ("POST", "A/notifications/n1/actions/test", Reply(sent, 202)),
        ("GET", "A/sni-endpoints", [row]),
        ("GET", "A/sni-endpoints/stegosaurus-1", row),
        ("POST", "A/sni-endpoints", Reply(row, 201)),
        ("PATCH", "A/sni-endpoints/stegosaurus-1", row),
        ("DELETE", "A/sni-endpoints/stegosaurus-1", row),
        ("POST", "A/acm", app()),
        ("PATCH", "A/acm", app()),
        ("DELETE", "A/acm", app()),
        *_mail(),
        ("GET", "A/log-drains", [drain]),
        ("POST", "A/log-drains", Reply(drain, 201)),
        ("DELETE", "A/log-drains/.+", drain),
        ("PATCH", "/test-runs/t12", {"id": "t12"}),
    ]


def pipelines(fake: FakeGreenroom) -> list[tuple[str, str, Any]]:
    """A pipeline with the app and one more, one test run, one review app."""
    pipeline = {"id": "p1", "name": "payslip", "owner_email": "alice@example.com"}
    first, second = (
        {"id": f"k-{name}", "app": {"id": f"id-of-{name}", "name": name}, "stage": stage, "pipeline": pipeline}
        for name, stage in ((APP, "staging"), ("ach-payslip", "production"))
    )
    run = {
        "id": "t12",
        "number": 12,
        "status": "succeeded",
        "commit_sha": SHA,
        "commit_branch": "master",
        "message": "Ran 5 tests in 0.1 s: OK",
        "app": {"name": APP},
    }
    node = {"setup_stream_url": f"{fake.url}/streams/output/b1", "output_stream_url": f"{fake.url}/streams/output/b1"}
    target = {
        "app": first["app"] | {"name": "ach-payslip"},
        "status": "succeeded",
        "error_message": None,
        "release": {"id": "r7", "version": 7},
    }
    return [
        ("GET", "/pipelines", [pipeline]),
        ("GET", "/pipelines/payslip", pipeline),
        ("GET", "/pipelines/p1/pipeline-couplings", [first, second]),
        ("GET", "A/pipeline-couplings", first),
        ("GET", "/pipelines/p1/test-runs", [run]),
        ("GET", "/pipelines/p1/test-runs/12", run),
        ("GET", "/test-runs/t12", run),
        ("GET", "/test-runs/t12/test-nodes", [node]),
        ("GET", "/pipelines/p1/stage/test/config-vars", {"WORD": "hello"}),
        (
            "GET",
            "/pipelines/payslip/review-apps",
            [{"id": "v1", "app_name": "ach-bonus-1", "branch": "bonus", "status": "created", "message": None}],
        ),
        ("POST", "/pipeline-promotions", Reply({"id": "q1"}, 201)),
        ("GET", "/pipeline-promotions/q1/promotion-targets", [target]),
    ]


def _absolute(fake: FakeGreenroom, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "output_stream_url": fake.url + row["output_stream_url"]}
