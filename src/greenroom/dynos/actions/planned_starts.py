"""Starts of one-off dynos by the worker: the options are stored, encrypted, until the dyno may start."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from django.db import transaction

from greenroom.apps.actions.worker import wake
from greenroom.basics import clock
from greenroom.config_vars.drivers.encryption import master_key, seal, unseal
from greenroom.dynos.actions import mark, start
from greenroom.dynos.models import Dyno, PlannedStart
from greenroom.dynos.rules import StartOptions
from greenroom.engine.contract import Engine


@transaction.atomic
def plan(*, dyno: Dyno, options: StartOptions, home: Path) -> None:
    """Store how to start the dyno; call it in the transaction that creates the row. The caller's loop starts it."""
    sealed = seal(master_key(home), json.dumps(asdict(options)).encode(), _place(dyno))
    PlannedStart.objects.create(dyno=dyno, sealed=sealed)


def begin(*, dyno: Dyno, engine: Engine, home: Path) -> None:
    """Start the dyno as planned. Repeatable: the engine ignores a second start. Raises the errors of ``start``."""
    row = PlannedStart.objects.filter(dyno=dyno).first()
    if row is None:
        return
    options = StartOptions(**json.loads(unseal(master_key(home), bytes(row.sealed), _place(dyno))))
    start(dyno=dyno, engine=engine, home=home, options=options)
    PlannedStart.objects.filter(pk=row.pk).delete()


def give_up(*, dyno: Dyno, reason: str, text: str) -> None:
    """End a dyno that has not started. reason: its ``exit_reason``; text: for the user."""
    mark(
        dyno=dyno,
        state="ended",
        healthy=False,
        exit_code=1,
        exit_reason=reason,
        health_detail=text[:2000],
        finished_at=clock.now(),
    )


def cancel(engine_id: str) -> None:
    """Stop a dyno that has not started, since its client has left. No effect on any other dyno."""
    row = PlannedStart.objects.filter(dyno__engine_id=engine_id, dyno__state="wanted").select_related("dyno").first()
    if row is not None:
        mark(dyno=row.dyno, state="stopping")
        wake()


def _place(dyno: Dyno) -> str:
    return f"planned-start/{dyno.pk}"
