"""The system users of a root installation are created once, even if two installations start at the same moment on a new
machine.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from greenroom_cli.host import users
from greenroom_cli.host.home import CONTROL_USER, POSTGRES_USER


def test_two_installations_that_start_at_once_make_each_user_once(tmp_path, monkeypatch):
    there, made = {}, []

    def add(name):
        time.sleep(0.05)
        made.append(name)
        there[name] = SimpleNamespace(pw_uid=900 + len(made), pw_gid=900 + len(made))

    monkeypatch.setattr(users, "LOCK", str(tmp_path / "locks" / "users.lock"))
    monkeypatch.setattr(users, "find", there.get)
    monkeypatch.setattr(users, "_add", add)
    monkeypatch.setattr(users.pwd, "getpwnam", there.__getitem__)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: users.ensure(), range(4)))
    assert made == [CONTROL_USER, POSTGRES_USER]
    assert set(answers) == {(901, 901)}
