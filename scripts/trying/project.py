"""One project on the installation: create, change, push, follow the hints once, migrate, look."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from trying import changes as rules
from trying import hints, report
from trying.changes import Changes
from trying.copies import Copy
from trying.installation import Ended, Installation, TryError, call, say
from trying.look import Site
from trying.report import Result

PUSH_SECONDS = 1200
RUN_SECONDS = 300
SETTLE_SECONDS = 120
ENDED = ("live", "held", "refused", "failed", "superseded")
PASSWORD = "try-Projects-0123456789"  # noqa: S105 - of a user of a throwaway app
USER = "try@example.com"


class Project:
    """One app. ``result`` is filled step by step, so that it holds what was found before an error."""

    def __init__(self, place: Installation, source: Path, changes: Changes, work: Path) -> None:
        self.place = place
        self.changes = changes
        self.name = rules.app_name(source.name)
        self.result = Result(source.name, expected=changes.expect, changed=rules.summary(changes))
        self.source = source
        self.copy_folder = work / source.name

    def attempt(self) -> Result:
        """All steps; an error of the script or of a command ends them and is recorded."""
        try:
            self._steps()
        except (TryError, OSError) as error:
            self.result.outcome = self.result.outcome or "failed"
            self.result.found_wrong(str(error))
        return self.result

    def _steps(self) -> None:
        self.copy = Copy(self.place, self.source, self.copy_folder)
        self.result.commit = self.copy.sha
        self.result.needs = self.copy.needs()
        self._must(self.place.run("create", self.name, cwd=self.copy.folder))
        self.copy.apply(self.changes)
        self._config([f"{name}={rules.value_of(text)}" for name, text in self.changes.config.items()])
        for addon in self.changes.addons:
            self._addon(addon)
        if self.changes.buildpacks:
            self._buildpacks(self.changes.buildpacks)
        self._push()
        self.result.first_outcome = self.result.outcome
        if self.result.outcome in ("refused", "failed", "withheld"):
            self._follow()
        if self.result.outcome == "withheld" and self.changes.override:
            self._override()
        if self.result.outcome in ("live", "held"):
            self._migrate()
        if self.result.outcome == "live":
            self._look()

    def _must(self, ended: Ended) -> str:
        if ended.code:
            raise TryError(report.complaint(ended.output) or f"exit code {ended.code}")
        return ended.output

    def _config(self, pairs: list[str], wait: bool = False) -> str:
        """Set config vars. With ``wait``, a release that does not start is no error: its delivery says so."""
        words = ["config:set", "-a", self.name, "--stdin", *([] if wait else ["--no-wait"])]
        if not pairs:
            return ""
        ended = self.place.run(*words, stdin="".join(f"{pair}\n" for pair in pairs), limit=RUN_SECONDS)
        return ended.output if wait else self._must(ended)

    def _addon(self, plan: str) -> None:
        status, row = self.place.api("POST", f"/apps/{self.name}/addons", {"plan": plan})
        if status != 201:
            raise TryError(f"addons:create {plan}: {row.get('message', status)}")
        path = f"/apps/{self.name}/addons/{row['name']}"
        ready = self.place.wait(
            lambda: self.place.api("GET", path)[1], lambda now: now.get("state") == "provisioned", SETTLE_SECONDS
        )
        if not ready or ready.get("state") != "provisioned":
            raise TryError(f"addons:create {plan}: not provisioned after {SETTLE_SECONDS} s")

    def _buildpacks(self, names: list[str]) -> None:
        body = {"updates": [{"buildpack": name} for name in names]}
        status, row = self.place.api("PUT", f"/apps/{self.name}/buildpack-installations", body)
        if status != 200:
            raise TryError(f"buildpacks: {row.get('message', status)}")

    def _add_buildpack(self, name: str, index: str = "") -> None:
        _, rows = self.place.api("GET", f"/apps/{self.name}/buildpack-installations")
        names = [row["buildpack"]["name"] for row in rows] or ["heroku/python"]
        names.insert(int(index) - 1 if index else len(names), name)
        self._buildpacks(names)

    def _push(self) -> None:
        """Push and read the outcome from the API."""
        say(f"{self.name}: push")
        started = time.monotonic()
        argv = ["git", "push", "greenroom", "HEAD:master"]
        ended = call(argv, cwd=self.copy.folder, env=self.place.env, limit=PUSH_SECONDS)
        self._conclude(self._ended(self.copy.sha), ended.output, started)

    def _conclude(self, delivery: dict[str, Any] | None, output: str, started: float) -> None:
        self.result.seconds = round(time.monotonic() - started, 1)
        self.result.output += output
        self.result.outcome = report.outcome(delivery)
        self.result.hints = hints.printed(output)
        if self.result.outcome not in ("live", "held"):
            self.result.found_wrong(report.first_wrong(delivery, output))
            say(f"{self.name}: {self.result.last_wrong}")
        say(f"{self.name}: {self.result.outcome} after {self.result.seconds:.0f} s")

    def _newest(self, sha: str = "") -> dict[str, Any] | None:
        return next(iter(self.place.deliveries(self.name, sha)), None)

    def _ended(self, sha: str = "", seconds: float = SETTLE_SECONDS) -> dict[str, Any] | None:
        """The newest delivery of a commit or of the app, once it has ended."""
        if self._newest(sha) is None:
            return None
        return self.place.wait(lambda: self._newest(sha), lambda row: row["state"] in ENDED, seconds)

    def _follow(self) -> None:
        """Carry out the printed hints once. A new commit is pushed; a config var may release the pushed code
        by itself, in a new delivery or in the refused one; if it does not, the commit is pushed again.
        """
        actions = hints.choose(self.result.hints)
        if not actions:
            return
        before, started = self._newest() or {}, time.monotonic()
        sha, output = self.copy.sha, ""
        for text in dict.fromkeys(action.text for action in actions):
            say(f"{self.name}: hint: {text}")
        for action in actions:
            self.result.followed.append(f"{action.kind} {' '.join(action.words)}".replace("=random", "=..."))
            output += self._carry_out(action)
        self.copy.commit("Follow the hint")
        if self.copy.sha != sha:
            self._push()
            return
        newest = self._newest() or {}
        if (newest.get("id"), newest.get("state")) == (before.get("id"), before.get("state")):
            self.copy.git("commit", "-q", "--allow-empty", "-m", "Try again")
            self._push()
            return
        self._conclude(self._ended(), output, started)

    def _override(self) -> None:
        """Override the checks that the .changes file names, as a person who has decided it."""
        started = time.monotonic()
        names = [word for check in self.changes.override for word in ("--check", check)]
        say(f"{self.name}: override {', '.join(self.changes.override)}")
        reason = "; ".join(dict.fromkeys(self.changes.override.values()))
        words = ("deploy:override", self.copy.sha, *names, "--reason", reason, "-a", self.name)
        output = self._must(self.place.run(*words))
        self.result.overridden = list(self.changes.override)
        sha = self.copy.sha
        row = self.place.wait(lambda: self._newest(sha), lambda now: report.outcome(now) != "withheld", SETTLE_SECONDS)
        row = row if row and row["state"] in ENDED else self._ended(sha, PUSH_SECONDS)
        self._conclude(row, output, started)

    def _carry_out(self, action: hints.Action) -> str:
        if action.kind == "config":
            pairs = [word.partition("=") for word in action.words]
            return self._config([f"{name}={rules.value_of(text)}" for name, _, text in pairs], wait=True)
        if action.kind == "addon":
            self._addon(action.words[0])
        elif action.kind == "buildpack":
            self._add_buildpack(*action.words)
        elif action.kind == "git":
            self.copy.git(*action.words)
        elif action.kind == "write":
            path, text, *how = action.words
            self.copy.write(path, text, add=how == [">>"])
        return ""

    def _manage(self, *words: str, env: dict[str, str] | None = None) -> Ended:
        options = [word for name, value in (env or {}).items() for word in ("-e", f"{name}={value}")]
        argv = ("run", "-a", self.name, "--no-tty", *options, "--", "python", self.changes.manage, *words)
        return self.place.run(*argv, limit=RUN_SECONDS)

    def _migrate(self) -> None:
        """Migrate once, wait for a held release to go live, and migrate again: nothing may be left."""
        was_held = self.result.outcome == "held"
        ended = self._manage("migrate", "--noinput")
        self.result.output += ended.output
        if ended.code:
            self.result.migrate = f"exit code {ended.code}"
            self.result.found_wrong(f"migrate: {report.first_wrong(None, ended.output)}")
            return
        if was_held:
            sha = self.copy.sha
            row = self.place.wait(lambda: self._newest(sha), lambda now: now["state"] != "held", SETTLE_SECONDS)
            row = row if row and row["state"] in ENDED else self._ended(sha)
            self.result.outcome = report.outcome(row)
            if self.result.outcome != "live":
                self.result.found_wrong(f"after migrate: {report.first_wrong(row, '')}")
        again = self._manage("migrate", "--noinput")
        clean = again.code == 0 and "No migrations to apply" in again.output
        once_more = "applied again: each dyno has its own data" if again.code == 0 else f"again: exit code {again.code}"
        self.result.migrate = "nothing left" if clean else once_more

    def _look(self) -> None:
        """First page, a static file, and the sign-in of a new superuser."""
        say(f"{self.name}: look")
        site = Site(self.name, self.place.http_port, self.place.https_port)
        self.result.page, body = site.first_page()
        if not re.match(r"2\d\d\b", self.result.page):
            self.result.found_wrong(f"first page: {self.result.page}")
        admin, form = site.admin_form(self.changes.admin)
        self.result.static = site.static_file(body) if site.has_static(body) else site.static_file(form)
        if not re.match(r"200\b|-", self.result.static):
            self.result.found_wrong(f"static file: {self.result.static}")
        self.result.sign_in = admin if admin != "form" else self._sign_in(site)
        if self.result.sign_in not in ("ok", "ok over https", "no admin"):
            self.result.found_wrong(f"sign-in: {self.result.sign_in}")

    def _sign_in(self, site: Site) -> str:
        names = ("USERNAME", "EMAIL", "FIRST_NAME", "LAST_NAME", "NAME", "PHONE", "PHONE_NUMBER")
        env = {f"DJANGO_SUPERUSER_{name}": USER for name in names} | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        ended = self._manage("createsuperuser", "--noinput", env=env)
        self.result.output += ended.output
        if ended.code:
            return f"createsuperuser: {report.first_wrong(None, ended.output) or report.one_line(ended.output)}"
        return site.sign_in(self.changes.admin, USER, PASSWORD)
