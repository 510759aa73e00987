"""Tests of ports: errors of `up`, reports of `status` and `doctor`, and ports below 1024 for users other than root."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from greenroom_cli.host import components, doctor, low_ports, ports, processes, status, up
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

NOBODY = 65534


def listening(address: str = "127.0.0.1") -> socket.socket:
    found = socket.socket()
    found.bind((address, 0))
    found.listen()
    return found


def free(below: int = 65536) -> list[int]:
    """Unused ports."""
    taken = ports.listened()
    return [number for number in range(below - 600, below) if number not in taken]


def installation(**changes) -> Installation:
    numbers = free(20000)
    names = ("api_port", "tls_port", "rendezvous_port", "pg_port", "http_port", "https_port")
    return Installation(**{**dict(zip(names, numbers, strict=False)), **changes})


def test_a_port_that_another_program_listens_on_is_refused(tmp_path):
    with closing(listening()) as other:
        with pytest.raises(HostError, match="in use by another program") as caught:
            ports.check(tmp_path, installation(https_port=other.getsockname()[1]))
        assert "--https-port N" in caught.value.hint


def test_a_port_is_tried_at_the_address_that_will_be_bound(tmp_path):
    with closing(listening("127.0.0.2")) as other:
        number = other.getsockname()[1]
        ports.check(tmp_path, installation(http_port=number))
        with pytest.raises(HostError, match=r"on 0\.0\.0\.0 is in use"):
            ports.check(tmp_path, installation(http_port=number, bind="0.0.0.0"))


def test_a_port_asked_for_twice_is_refused(tmp_path):
    install = installation()
    with pytest.raises(HostError, match="assigned twice: api and http"):
        ports.check(tmp_path, installation(http_port=install.api_port))


def test_a_low_port_of_an_ordinary_user_is_refused_with_the_reason():
    port = ports.Port("http", 80, "--http-port", "caddy")
    assert "ports below 1024 require root" in ports.explain(port, 13)


@pytest.mark.neighbours
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it becomes another user")
def test_a_program_of_another_user_opens_a_low_port_and_has_no_other_right():
    code = (
        "import os, socket; s = socket.socket(); s.bind(('127.0.0.1', int(os.environ['AT'])));"
        " s.listen();print(os.getuid(), *[line.split()[1] for line in open('/proc/self/status') if"
        " line.startswith(('CapEff', 'CapPrm', 'CapAmb'))])"
    )
    starter = [sys.executable, "-I", "-S", str(Path(low_ports.__file__)), str(NOBODY), str(NOBODY)]
    python = next(str(path) for path in (Path("/usr/bin/python3"), Path(sys.executable)) if path.exists())
    result = subprocess.run(
        [*starter, python, "-c", code], env={"AT": str(free(1000)[0])}, capture_output=True, text=True, check=False
    )
    bit = f"{1 << low_ports.NET_BIND_SERVICE:016x}"
    assert result.stdout.split() == [str(NOBODY), bit, bit, bit], result.stderr


def test_only_components_with_low_ports_are_started_with_that_right():
    plain = components.Component("caddy", ("/usr/bin/true", "run"), lambda: True, user=(7, 8))
    high, low = installation(mode="root"), installation(mode="root", http_port=80)
    assert components._with_low_ports(plain, high) == plain
    started = components._with_low_ports(plain, low)
    assert started.user is None
    assert started.argv[-4:] == ("7", "8", "/usr/bin/true", "run")
    web = components.Component("web", ("/usr/bin/true",), lambda: True, user=(7, 8))
    assert components._with_low_ports(web, low) == web


def test_status_and_doctor_notice_a_router_that_listens_nowhere(place, sleeper):
    install = installation()
    processes.start(place, sleeper("caddy"))
    row = next(row for row in status.gather(place, install)["components"] if row["name"] == "caddy")
    assert row["state"] == "not listening"
    found = doctor._ports(place, install)
    assert found.level == "fail"
    assert f"not listening: {install.http_port} (http, caddy)" in found.text


def test_up_fails_when_the_router_listens_nowhere(place, monkeypatch):
    monkeypatch.setattr(up, "PORT_SECONDS", 0.0)
    (place / "logs" / "web.log").write_text("listen tcp :80: bind: permission denied\n")
    with pytest.raises(HostError, match="does not listen on port") as caught:
        up._await_ports(place, installation())
    assert "permission denied" in caught.value.message


def test_doctor_tells_what_runs_of_an_installation(place, sleeper):
    install = installation()
    assert doctor._running(place, None).level == "ok"
    assert doctor._running(place, install).level == "warn"
    processes.start(place, sleeper("caddy"))
    half = doctor._running(place, install)
    assert half.level == "fail"
    assert "web" in half.text


def test_interpreters_of_moved_version_managers_are_found(tmp_path, monkeypatch):
    for variable, folder in (("PYENV_ROOT", "versions"), ("UV_PYTHON_INSTALL_DIR", ""), ("XDG_DATA_HOME", "uv/python")):
        for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME"):
            monkeypatch.delenv(name, raising=False)
        program = tmp_path / variable / folder / "3.13.9" / "bin" / "python3.13"
        program.parent.mkdir(parents=True)
        program.symlink_to(sys.executable)
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert tmp_path / variable / folder / "3.13.9" in components.needed_paths()
        assert program in components.pythons()
