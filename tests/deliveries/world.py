"""An app with releases in any state, for tests of deliveries: real rows, the engine double, no processes."""

from __future__ import annotations

from pathlib import Path

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.builds.models import Build
from greenroom.checks.models import CheckRun, Verdict
from greenroom.config_vars import actions as config_vars
from greenroom.deliveries import actions, queries
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import Step, next_step
from greenroom.deliveries.steps import Steps
from greenroom.dynos.models import Dyno, Rollout
from greenroom.engine.memory import MemoryEngine
from greenroom.git.models import Push
from greenroom.releases.models import Release
from greenroom.slugs.models import Slug


class World:
    """Alice's app ``shop``, and methods that bring it into a state."""

    def __init__(self, alice: Actor, shop: App, home: Path, installation: dict) -> None:
        self.alice, self.app, self.home = alice, shop, home
        self.steps = Steps(MemoryEngine(), home, installation)
        self.count = 0
        config_vars.write(app=shop, home=home, values={}, actor=alice)

    def push(
        self,
        *,
        colour: str = "green",
        app_json: dict | None = None,
        process_types: dict | None = None,
        settings: dict | None = None,
    ) -> Delivery:
        """A commit that is built and has a verdict."""
        self.count += 1
        sha = f"{self.count:040x}"
        push = Push.objects.create(
            app=self.app,
            seq=self.count,
            ref="refs/heads/master",
            before="0" * 40,
            after=sha,
            state="recorded",
            account_id=self.alice.account_id,
        )
        types = {"web": "serve"} if process_types is None else process_types
        slug = Slug.objects.create(
            app=self.app,
            digest=f"{self.count:064x}",
            commit=sha,
            env_key="e",
            process_types=types,
            app_json=app_json or {},
            settings=settings or {},
        )
        build = Build.objects.create(app=self.app, commit=sha, status="succeeded", slug=slug)
        row = actions.open_for_push(push=push)
        row.build, row.state = build, "checking"
        row.save()
        for name in ("tests", "scan"):
            end = "success" if colour == "green" else "failure"
            CheckRun.objects.create(
                app=self.app, sha=sha, name=name, builtin=True, status="completed", conclusion=end, number=self.number()
            )
        Verdict.objects.create(
            app=self.app, sha=sha, colour=colour, reasons=[] if colour == "green" else ["`tests` failed"], inputs={}
        )
        return self.read(row)

    def number(self) -> int:
        return CheckRun.objects.filter(app=self.app).count() + 1

    def read(self, row: Delivery) -> Delivery:
        return Delivery.objects.select_related(
            "app", "app__owner", "push", "build__slug", "release__slug", "release__config", "account"
        ).get(pk=row.pk)

    def next(self, row: Delivery) -> Step:
        row = self.read(row)
        others = [self.read(one) for one in Delivery.objects.filter(app=self.app, finished_at=None).exclude(pk=row.pk)]
        return next_step(queries.facts(row, others))

    def take(self, row: Delivery) -> Step:
        """Execute one step of the delivery, with the real rules and the real executor."""
        row = self.read(row)
        others = [self.read(one) for one in Delivery.objects.filter(app=self.app, finished_at=None).exclude(pk=row.pk)]
        facts = queries.facts(row, others)
        step = next_step(facts)
        self.steps.take(step, row, facts)
        return step

    def run(self, row: Delivery, *, dies: str = "", until: str = "") -> Delivery:
        """Take steps until the delivery has ended, or reached ``until``; its web dyno responds, or ``dies`` with this
        output.
        """
        for _ in range(40):
            row = self.read(row)
            if row.finished_at is not None or (until and row.state == until):
                return row
            rollout = queries.rollout_of(row)
            if rollout and rollout.state == "candidate" and not Dyno.objects.filter(release=row.release).exists():
                self.dyno(row.release, dies)
            self.take(row)
        raise AssertionError(f"{row.state} {row.reason}: no end")

    def dyno(self, release: Release, dies: str = "", words: str = "") -> Dyno:
        ended = {"state": "ended", "health_detail": dies, "exit_reason": "exit", "exit_code": 1, "last_words": words}
        state = ended if dies else {"state": "up", "healthy": True}
        return Dyno.objects.create(
            app=self.app,
            release=release,
            kind="web",
            type="web",
            ordinal=1,
            command="serve",
            engine_id=f"web-{release.version}",
            endpoint=f"run/sockets/web-{release.version}",
            **state,
        )

    def live(self, **words: object) -> Delivery:
        """A live push."""
        row = self.run(self.push(**words))
        assert row.state == "live", row.reason
        return row

    def failed(self, dies: str = "exited with status 1", **words: object) -> Delivery:
        """A push with a failed release."""
        row = self.run(self.push(**words), dies=dies)
        assert row.state == "failed", row.state
        return row

    def refused(self) -> Delivery:
        """A push whose release lacks the config var FOO."""
        row = self.run(self.push(app_json={"env": {"FOO": {"required": True}}}))
        assert row.state == "refused", row.state
        return row

    def set(self, **updates: str | None) -> Release:
        made = actions.change_config(actor=self.alice, app=self.app, home=self.home, updates=updates)
        assert made is not None
        return made

    def delivery_of(self, release: Release) -> Delivery:
        return self.read(Delivery.objects.get(release=release))

    def serving(self) -> str:
        rollout = Rollout.objects.filter(app=self.app, state="live").select_related("release__slug").first()
        return rollout.release.slug.commit if rollout else ""

    def said(self, row: Delivery) -> str:
        return (self.home / row.transcript).read_text()

    def log(self) -> str:
        from greenroom.logs.queries import last

        return "\n".join(last(self.app, self.home))
