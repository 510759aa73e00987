"""Copies the files of a volume in a dyno of the app, with the rights of its user and nothing else in sight."""

from __future__ import annotations

from greenroom.addons.models import Addon
from greenroom.addons.volume import queries
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Limits, Mount
from greenroom.engine.errors import EngineAwayError, EngineError

SECONDS = 3600.0
FROM, TO = "/from", "/to"
COPY = ("/bin/cp", "-R", "--no-dereference", "--preserve=mode,timestamps,links", "--reflink=auto", f"{FROM}/.", TO)


def start(engine: Engine, *, dyno: str, addon: Addon, source: str, target: str) -> str:
    """Start the copy from the key ``source`` to the key ``target``. Returns why it is not possible; empty if it
    started, or if a later try can succeed.
    """
    try:
        engine.discard(queries.artefact(addon, target))  # of a start that was cut short
        engine.start(_spec(dyno, addon, source, target))
    except EngineAwayError:
        return ""
    except EngineError as error:
        return f"The files could not be copied: {error.message}"
    return ""


def _spec(dyno: str, addon: Addon, source: str, target: str) -> DynoSpec:
    return DynoSpec(
        id=dyno,
        kind="janitor",
        owner=addon.app_id.hex,
        uid=addon.app.number,
        process="volume.1",
        command=COPY,
        cwd="/",
        mounts=(
            Mount(target=FROM, source=queries.artefact(addon, source)),
            Mount(target=TO, source=queries.artefact(addon, target), mode="rw"),
        ),
        egress=False,
        limits=Limits(memory_mb=256, pids=16, timeout=SECONDS),
    )


def problem(state: DynoState) -> str:
    """Why an ended copy is incomplete; empty if it is complete."""
    if state.phase == "exited" and state.exit_code == 0:
        return ""
    words = state.last_words.strip().splitlines()[-1:] or [state.detail or f"the copy ended with {state.exit_code}"]
    return f"The files could not be copied: {words[0][:300]}"
