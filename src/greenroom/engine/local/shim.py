"""Runs one dyno: sets up its network and uid, starts its sandbox, and records its state until all processes have ended.

Outlives the supervisor. Its memory counts once per dyno: it avoids json, logging, subprocess, signal and socket.
"""

from __future__ import annotations

import _signal
import marshal
import os
import time
from time import monotonic

from greenroom.engine.local import (
    bridge,
    connections,
    deadlines,
    ingress,
    launch,
    memory_quota,
    netns,
    output,
    session,
    signals,
    state,
    stopping,
)
from greenroom.engine.local.loop import IN, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FLUSH_SECONDS = 5.0
DRAIN_SECONDS = 2.0
SAVE_TRIES = 86_400
READ_BYTES, READ_WINDOW = 3_200_000, 0.1
"""Maximum bytes of output read per window of seconds; a faster dyno is paused."""


class Shim:
    """The dyno from its order to its end."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.loop = Loop()
        self.limits: dict[str, Any] = order["limits"]
        self.tree: launch.Tree | None = None
        self.why = self.detail = ""
        self.heard = monotonic()
        self._session: session.Session | None = None
        self.way_in: bridge.Bridge | None = None
        self._code: int | None = None
        self._ran = self._is_up = self._stopping = self._done = self._telling = False
        self._pending: list[int] = []
        self._window, self._read, self._tries = 0.0, 0, 0

    def set_up(self) -> None:
        """Do everything that needs root, then drop it. Raises OSError."""
        order = self.order
        launch.adopt_layers(order)
        netns.forgo_privileges()
        if order["uid"] < 0:
            netns.enter_user_namespace()
        self.connections = connections.Connections(self.loop, order)
        self._groups = tuple(
            [os.open(path, os.O_WRONLY | os.O_CLOEXEC) for path in order[key]] for key in ("enter", "leave")
        )
        self._memory = memory_quota.open_files(order["oom"])
        launch.limit(0 if order["enter"] else self.limits["pids"])
        os.umask(0o022)
        if order["uid"] >= 0:
            netns.become(order["uid"], order["uid"])
        os.chdir(order["folder"])

    # -- life cycle --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Write the first state; start at once, or wait for the client."""
        order = self.order
        self.state = state.State(order["folder"], order["state"])
        self.journal = output.Journal(order["log"], order["state"]["process"])
        self._counter = state.Counter(order["folder"]) if order["port"] else None
        self._signals()
        printed = output.Journal("", "") if order["attach"] else self.journal
        self.output = output.Output(printed, os.path.join(order["folder"], output.FILE) if order["output"] else "")
        self.connections.log_to(self.journal.say if order["log"] else self.output.note)
        self.state.save()
        if order["attach"]:
            self._session = session.Session(self)
        else:
            self.launch()

    def launch(self) -> int | None:
        """Start the process. Returns its standard input, or None if the start failed."""
        order = self.order
        self.journal.say(f"Starting process with command `{order['shown']}`")
        try:
            launch.make_overlay_folders(order)
            self._pipes = launch.Pipes(order)
            os.umask(order["umask"])
            self.tree = launch.Tree(self.loop, order, self._pipes, self._groups)  # type: ignore[arg-type]
        except OSError as error:
            self._end_unborn(f"bubblewrap cannot be started: {error}")
            return None
        finally:
            os.umask(0o022)
            for fd in (*self._groups[0], *self._groups[1]):
                os.close(fd)
        self._pipes.close_far()
        self.tree.watch(self._running, self._over)
        self.loop.add(self._pipes.output, IN, self._output_ready)
        self.heard = monotonic()
        self.deadlines, self._quota = deadlines.Deadlines(self), memory_quota.Quota(self, self._memory)
        self.state.change(started_at=time.time())
        return self._pipes.input

    def _running(self) -> None:
        assert self.tree
        self.state.change(phase="running", host_pid=self.tree.main)
        for number in self._pending:
            self.tree.signal(number)
        self._pending.clear()
        if self._stopping:
            self._begin_stopping()
        if self.order["port"]:
            ingress.await_port(self, monotonic())
        else:
            self._up()

    def _up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self.journal.say("State changed from starting to up")

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self._done or self._code is not None

    def bound(self) -> None:
        """Record that the port answers."""
        self.deadlines.bound()
        self.state.change(listening=True)
        self._up()

    def count(self, active: int) -> None:
        """Record the number of open connections of the router."""
        if self._counter:
            self._counter.set(active)
        if self._done and not active:
            self._leave_when_flushed()

    # -- output ------------------------------------------------------------------------------------------------------

    def _output_ready(self, _: int) -> None:
        try:
            data = os.read(self._pipes.output, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # a terminal raises it after its last user
        if not data:
            self._output_closed()
            return
        self.heard = monotonic()
        if not self.order["port"] and not data.startswith(b"bwrap: "):
            self._up()  # output came before the first poll
        self.output.feed(data)
        self._tell_later()
        if self._session and not self._session.send(data):
            self._hold_output()
        else:
            self._throttle(len(data))

    def _tell_later(self) -> None:
        if self.output.untold and not self._telling:
            self._telling = True
            self.loop.at(output.TELL_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling = False
        self.output.tell_drops()
        if self._code is None:
            self._tell_later()

    def _throttle(self, size: int) -> None:
        if self.heard - self._window > READ_WINDOW:
            self._window, self._read = self.heard, 0
        self._read += size
        if self._read > READ_BYTES:
            self._hold_output()
            self.loop.at(READ_WINDOW, self.resume_output)

    def _hold_output(self) -> None:
        self.loop.remove(self._pipes.output)

    def resume_output(self) -> None:
        """Read output again."""
        if self._pipes.output >= 0 and not self.loop.watches(self._pipes.output):
            self.loop.add(self._pipes.output, IN, self._output_ready)

    def _output_closed(self) -> None:
        if self._pipes.output >= 0:
            self.loop.close(self._pipes.output)
            self._pipes.output = -1
            self.output.end()
            if self._code is not None:
                self._finish()

    # -- the client of an attached dyno --------------------------------------------------------------------------------

    def unattended(self, text: str) -> None:
        """End the dyno, since its first client never came."""
        self.journal.say(text)
        self._end_unborn(text)

    def abandoned(self, *, hang_up: bool, signal: int) -> None:
        """Handle a client that has left for good: hang up the dyno, or continue with output to the log."""
        if self._code is None and self.tree and hang_up:
            self.why = self.why or "signal"
            self.detail = self.detail or "the client disconnected"
            if not self.tree.hang_up(signal):
                self._pending.append(signal)
            self.loop.at(self.limits["grace"], self.tree.kill)
        elif self._code is None:
            self.journal.say("The client disconnected; the process continues, and its output goes to the log")
            self.output.tell(self.journal)
        self.resume_output()
        self.finish_if_due()

    def finish_if_due(self) -> None:
        """Finish if the last condition after the process's end is met."""
        if self._code is not None and self._pipes.output < 0:
            self._finish()

    # -- signals and the end -------------------------------------------------------------------------------------------

    def _signals(self) -> None:
        near, far = os.pipe()
        for fd in (near, far):
            os.set_blocking(fd, False)
        for number in signals.BY_NAME.values():
            _signal.signal(number, lambda *_: None)
        _signal.set_wakeup_fd(far, warn_on_full_buffer=False)
        self._requests = near
        self.loop.add(near, IN, self._asked)

    def _asked(self, _: int) -> None:
        for number in os.read(self._requests, 64):
            self._signalled(number)

    def _signalled(self, number: int) -> None:
        if self._done:
            return
        self.why = self.why or "signal"
        if self.tree is None:
            self._end_unborn("ended before it was started")
        elif number == signals.KILL:
            self.tree.kill()
        elif number == signals.DRAIN:
            ingress.drain(self, monotonic() + self.limits["drain"])
        elif number == signals.STOP:
            self.stop()
        elif not self.tree.signal(number):
            self._pending.append(number)

    def stop(self) -> None:
        """Send SIGTERM now, SIGKILL after the grace."""
        assert self.tree
        if self._stopping:
            return
        self._stopping = True
        self.journal.say("Stopping all processes with SIGTERM")
        ingress.stop_streams(self)
        if self.tree.main:
            self._begin_stopping()
        self.loop.at(self.limits["grace"], self._grace_over)

    def _begin_stopping(self) -> None:
        assert self.tree
        if not self.tree.ended:
            stopping.Stopping(self.loop, self.tree.pid, self.tree.first).begin(self.limits["grace"])

    def _grace_over(self) -> None:
        if self.tree and not self.tree.ended:
            grace = self.limits["grace"]
            self.journal.say(
                f"Error R12 (Exit timeout) -> At least one process failed to exit within {grace:g} seconds of SIGTERM"
            )
            self.journal.say("Stopping remaining processes with SIGKILL")
            self.detail = self.detail or f"killed {grace:g} seconds after SIGTERM"
            self.tree.kill()

    def end_by(self, why: str, text: str) -> None:
        """End the dyno for an exceeded deadline or limit."""
        if self.tree and not self.tree.ended and (not self.why or self.why == "signal"):
            self.why, self.detail = why, text
            self.journal.say(text)
            self.journal.say("Stopping process with SIGKILL")
            self.tree.kill()

    def _over(self, code: int, ran: bool) -> None:
        self._code, self._ran = code, ran
        if self._session:
            self._session.forget_stdin()
        if self._pipes.output < 0:
            self._finish()
        else:
            self.loop.at(DRAIN_SECONDS, self._drained)

    def _drained(self) -> None:
        """Stop waiting for other processes with the output open, not for a client that reads slowly or may return."""
        held = self._pipes.output >= 0 and not self.loop.watches(self._pipes.output)
        if self._session and (held or monotonic() - self.heard < DRAIN_SECONDS):
            self.loop.at(DRAIN_SECONDS, self._drained)
        else:
            self._output_closed()

    def _finish(self) -> None:
        if self._done or (self._session and self._session.absent):
            return  # a lost client may return for the remaining output and the exit code
        self.deadlines.close()
        self._quota.close()
        code, reason, detail = self._verdict()
        ingress.close(self)
        if self._ran and not self.order["port"]:
            self._up()  # it ended before the first poll
        self.journal.say(f"Process exited with status {code}")
        lasting = self.order["kind"] in ("web", "worker")
        ending = "complete" if (reason == "signal" or not lasting) and (code == 0 or reason == "signal") else "crashed"
        self.journal.say(f"State changed from {'up' if self._is_up else 'starting'} to {ending}")
        self._end(code, reason, detail)

    def _verdict(self) -> tuple[int, str, str]:
        assert self._code is not None
        if not self.why and (error := self._quota.verdict(self._code)):
            self.why, self.detail = "oom", error
        if not self._ran and not self.why:
            lines = self.output.last_words.decode("utf-8", "replace").split("\n")
            said = [line.removeprefix("bwrap: ") for line in lines if line.startswith("bwrap: ")]
            return 127, "start", said[-1] if said else f"the sandbox ended with status {self._code}"
        return self._code, self.why or "exit", self.detail

    def _end_unborn(self, detail: str) -> None:
        if self._session:
            self._session.close()
        if not self._done:
            self._end(127, "signal" if self.why else "start", detail)

    def _end(self, code: int, reason: str, detail: str) -> None:
        self._done = True
        self.state.end(
            code=code, reason=reason, detail=detail, last_words=self.output.last_words.decode("utf-8", "replace")
        )
        if self._session:
            self._session.finish(self._leave)
        else:
            self.loop.at(FLUSH_SECONDS, self._leave)
            self._leave_when_flushed()

    def _leave_when_flushed(self) -> None:
        if self.way_in and self.way_in.active:
            return  # the last connection calls this again
        self._leave()

    def _leave(self) -> None:
        self._tries += 1
        if self.state.saved or self._tries > SAVE_TRIES:
            self.loop.stop()
        else:
            self.state.save(sync=True)  # a full disk: retry, since the exit state is important
            self.loop.at(1.0, self._leave)


def main() -> None:
    """Read the order from standard input, and write one byte to standard output after the first state is saved."""
    data = b""
    while part := os.read(0, 1 << 20):
        data += part
    if len(data) != 8 + int.from_bytes(data[:8], "big"):
        os._exit(3)  # the supervisor died in between: nothing has been started
    shim = Shim(marshal.loads(data[8:]))  # noqa: S302 (from our own supervisor, over a pipe)
    del data, part
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    try:
        shim.set_up()
        shim.begin()
    except OSError as error:
        os.write(1, f"{error}".encode()[:4000])
        os._exit(4)
    os.write(1, b"+")
    os.dup2(null, 1)
    os.close(null)
    shim.loop.run()
    os._exit(0)
