"""Failed DNS lookups: either the name has no address, or no name server answered."""

from __future__ import annotations

import socket

import pytest

from greenroom.basics import outgoing
from greenroom.basics.errors import PlatformError, UserError
from greenroom.sources import actions as sources


def failing(monkeypatch, code):
    def getaddrinfo(*_, **__):
        raise socket.gaierror(code, "as the C library says it")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("code", [socket.EAI_AGAIN, socket.EAI_FAIL])
def test_a_name_server_that_does_not_answer_is_not_the_names_fault(monkeypatch, code):
    failing(monkeypatch, code)
    with pytest.raises(
        outgoing.OutgoingError, match=r"github.com could not be looked up: this machine's name servers gave no answer"
    ) as error:
        outgoing.resolve("github.com", 443)
    assert error.value.kind == outgoing.NO_DNS


def test_a_name_that_is_not_there_has_no_address(monkeypatch):
    failing(monkeypatch, socket.EAI_NONAME)
    with pytest.raises(outgoing.OutgoingError, match=r"The host nosuch.example has no address\.") as error:
        outgoing.resolve("nosuch.example", 443)
    assert error.value.kind == "unknown-host"


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [(socket.EAI_AGAIN, PlatformError, "try again in a minute"), (socket.EAI_NONAME, UserError, "use https:// or ssh")],
)
def test_the_url_of_a_source_is_blamed_for_its_own_faults_alone(monkeypatch, code, kind, hint):
    failing(monkeypatch, code)
    with pytest.raises(kind) as error:
        sources._plain_http(sources.rules.place_of("http://git.example.com/team/repo.git"), ())
    assert hint in error.value.hint
