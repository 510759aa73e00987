"""The second state machine of the gate: the real actions on PostgreSQL rows keep both invariants, wherever the worker
dies.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from greenroom.apps import actions as apps
from greenroom.basics.errors import GreenroomError
from greenroom.builds.models import Build
from greenroom.checks import actions as checks
from greenroom.checks.models import CheckRun, Override
from greenroom.config_vars import actions as config_vars
from greenroom.deliveries import actions, queries
from greenroom.deliveries.actions import gate as gatekeeper
from greenroom.deliveries.queries import required_checks
from greenroom.deliveries.rules import Step, next_step
from greenroom.deliveries.steps import Steps
from greenroom.dynos import actions as dynos
from greenroom.engine.memory import MemoryEngine
from greenroom.git.models import Push
from greenroom.releases import actions as releases
from greenroom.slugs.models import Slug
from tests.deliveries.gate_promise import COUNTED, REQUIRED, STEPS, check, choice, ending, permitted, play


class DiedError(Exception):
    """The worker was killed."""


class Rows(RuleBasedStateMachine):
    """Each example has its own app, created by ``cast``. all_lived: number of pushes that went live in all examples."""

    cast: Any = None
    home: Path | None = None
    made = 0
    all_lived = 0

    @initialize()
    def start(self):
        Rows.made += 1
        self.app = apps.create(actor=self.cast, name=f"machine-{Rows.made}")
        config_vars.write(app=self.app, home=self.home, values={}, actor=self.cast)
        apps.change_settings(actor=self.cast, app=self.app, required_checks=["ci/build"])
        self.app.refresh_from_db()
        self.steps = Steps(MemoryEngine(), self.home, settings.INSTALLATION)
        self.pushed, self.lived = [], []
        self.push(1)

    @rule(sha=st.integers(1, 5))
    def push(self, sha):
        COUNTED["rows"] += 1
        after = f"{sha:040x}"
        row = Push.objects.create(
            app=self.app,
            seq=len(self.pushed) + 1,
            ref="refs/heads/master",
            before="0" * 40,
            after=after,
            state="recorded",
        )
        self.pushed.append(after)
        actions.open_for_push(push=row)

    def open(self):
        return list(queries.open_deliveries().filter(app=self.app))

    @rule(number=choice, turns=st.integers(1, 5), dies=st.booleans())
    def work(self, number, turns, dies):
        """Some turns of the loop; a worker that dies in the last one leaves no partial step behind."""
        for turn in range(turns):
            COUNTED["rows"] += 1
            rows = self.open()
            if not rows:
                return
            row = rows[number % len(rows)]
            facts = queries.facts(row, [other for other in rows if other.pk != row.pk])
            with suppress(DiedError), transaction.atomic():
                self.take(row, next_step(facts), facts)
                if dies and turn == turns - 1:
                    raise DiedError

    def take(self, row, step, facts):
        if step is Step.BUILD:
            slug, _ = Slug.objects.get_or_create(
                app=self.app, digest=row.sha.rjust(64, "0"), commit=row.sha, defaults={"env_key": "e"}
            )
            build = Build.objects.create(app=self.app, commit=row.sha, status="succeeded", slug=slug)
            actions.advance(delivery=row, state="building", home=self.home, build=build)
        elif step is Step.CHECK:
            actions.advance(delivery=row, state="checking", home=self.home)
            checks.begin(app=self.app, sha=row.sha, names=("tests", "scan"))
            checks.judge(app=self.app, sha=row.sha, required=required_checks(row.app, row.build.slug))
        elif step is Step.ROLL_OUT:
            dynos.want(app=self.app, release=row.release)
            actions.advance(delivery=row, state="rolling_out", home=self.home)
        elif step is Step.FINISH:
            actions.advance(delivery=row, state="live", home=self.home)
        elif step in (Step.SUPERSEDE, Step.WITHHOLD, Step.RELEASE, Step.GIVE_UP):
            had = row.release_id
            self.steps.take(step, row, facts)
            row.refresh_from_db()
            if row.release_id and not had:
                self.allowed(row)

    def allowed(self, row):
        runs = list(
            CheckRun.objects.filter(app=self.app, sha=row.sha).values_list("name", "attempt", "status", "conclusion")
        )
        leaves = [(o.checks, o.attempts) for o in Override.objects.filter(app=self.app, sha=row.sha)]
        assert permitted(runs, leaves), (row.sha, runs, leaves)

    @rule(good=st.integers(0, 4))
    def candidate_answers(self, good):
        COUNTED["rows"] += 1
        for row in self.open():
            rollout = queries.rollout_of(row)
            if rollout is None or rollout.state != "candidate":
                continue
            if good:
                dynos.make_live(rollout=rollout)
                releases.conclude(release=row.release, status="succeeded")
                self.lived.append(row.seq)
            else:
                dynos.give_up(rollout=rollout, failure="it does not answer")

    def some_sha(self, number):
        return self.pushed[number % len(self.pushed)]

    def told(self, sha, name, end):
        if name == "ci/build":
            with suppress(GreenroomError):
                checks.report(app=self.app, sha=sha, name=name, status="completed", conclusion=end)
        else:
            run = checks.begin(app=self.app, sha=sha, names=[name])[0]
            if run.status != "completed":
                CheckRun.objects.filter(pk=run.pk).update(status="completed", conclusion=end)
        gatekeeper.reported(app=self.app, sha=sha, home=self.home)

    @rule(number=choice, name=check, end=ending)
    def report(self, number, name, end):
        COUNTED["rows"] += 1
        self.told(self.some_sha(number), name, end)

    @rule(number=choice)
    def a_usual_day(self, number):
        """All checks of a new push pass, and the loop continues with it."""
        for name in REQUIRED:
            self.told(self.pushed[-1 - number % min(2, len(self.pushed))], name, "success")
        self.work(-1, 4, False)
        self.candidate_answers(number % 4)
        self.work(-1, 1, False)

    @rule(number=choice)
    def rerun(self, number):
        COUNTED["rows"] += 1
        sha = self.some_sha(number)
        with suppress(GreenroomError):
            checks.rerun(app=self.app, sha=sha, actor=self.cast)
            actions.reopen(app=self.app, sha=sha, home=self.home)

    @rule(number=choice, names=st.sets(check, min_size=1))
    def override(self, number, names):
        COUNTED["rows"] += 1
        sha = self.some_sha(number)
        with suppress(GreenroomError):
            checks.override(app=self.app, sha=sha, checks=sorted(names), reason="because it is safe", actor=self.cast)
            actions.reopen(app=self.app, sha=sha, home=self.home)

    @rule(on=st.integers(0, 3))
    def pause(self, on):
        COUNTED["rows"] += 1
        if on:
            with suppress(GreenroomError):
                actions.resume(actor=self.cast, app=self.app, home=self.home)
        else:
            apps.change_settings(actor=self.cast, app=self.app, deploy_paused="a demo")
        self.app.refresh_from_db()

    @invariant()
    def no_newer_push_is_overtaken(self):
        lived = getattr(self, "lived", [])
        assert lived == sorted(set(lived)), lived

    def teardown(self):
        Rows.all_lived += len(getattr(self, "lived", []))


@pytest.mark.thorough
@pytest.mark.django_db
def test_the_real_actions_keep_both_promises_wherever_the_worker_dies(alice, home):
    COUNTED["rows"] = 0
    machine = type("Mine", (Rows,), {"cast": alice, "home": home})
    play(machine, steps=max(240, STEPS), length=30)
    assert COUNTED["rows"] >= 200
    assert machine.all_lived > 1, "a gate that lets nothing through proves nothing"
