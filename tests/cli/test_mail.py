"""Tests of the mail commands: lists and mails without control characters, files, confirmation, the password."""

from __future__ import annotations

import json

import pytest

from greenroom_cli import mail as commands
from tests.cli.rows import APP, mail, mail_info, mail_trap


def test_the_list_is_filtered_by_the_server_and_names_the_next_command(at_server, greenroom):
    result = greenroom("mail", "--to", "x", "--from", "y", "--subject", "z", "-n", "2", "-a", APP)
    assert at_server.asked("GET")[-1].query == {"to": "x", "from": "y", "subject": "z", "limit": "2"}
    assert "qa@example.com and 1 more" in result.stdout
    assert "1 of 2" in result.stdout
    assert f"greenroom mail:show 12 -a {APP}" in result.stderr
    assert f"greenroom mail --before 11 -a {APP}" in result.stderr


def test_without_mail_the_trap_is_named(at_server, greenroom):
    at_server.on("GET", "A/mail", [])
    result = greenroom("mail", "-a", APP)
    assert result.stdout == ""
    assert f"{APP} has sent no mail." in result.stderr
    assert f"greenroom mail:info -a {APP}" in result.stderr


def test_text_of_a_mail_does_not_control_the_terminal(at_server, greenroom):
    bad = "\x1b]0;x\x07 \x1b[2J two\nlines"
    at_server.on("GET", "A/mail", [mail(subject=bad, header_from=bad, to=[bad])])
    at_server.on("GET", "A/mail/[^/]+", mail_info(text=bad, headers=[{"name": "Subject", "value": bad}]))
    for words in (["mail"], ["mail:show"]):
        result = greenroom(*words, "-a", APP)
        assert result.exit_code == 0
        assert "\x1b" not in result.output
        assert "\x07" not in result.output


def test_a_mail_shows_who_got_it_and_its_attachments(at_server, greenroom):
    result = greenroom("mail:show", "12", "-a", APP)
    assert "qa@example.com (sent by the relay)" in result.stdout
    assert "customer@example.org (kept in the trap)" in result.stdout
    assert "Thank you." in result.stdout
    assert "Attachment 3: invoice.pdf (application/pdf, 900 B)" in result.stderr
    assert f"greenroom mail:show 12 --attachment 3 -o FILE -a {APP}" in result.stderr


def test_an_attachment_is_written_byte_for_byte(at_server, greenroom, tmp_path):
    file = tmp_path / "invoice.pdf"
    assert greenroom("mail:show", "12", "--attachment", "3", "-o", str(file), "-a", APP).exit_code == 0
    assert file.read_bytes() == b"%PDF\xff"
    assert at_server.asked("GET")[-1].path.endswith("/mail/12/attachments/3")
    result = greenroom("mail:show", "--raw", "-a", APP)
    assert result.stdout_bytes == b"%PDF\xff"
    assert greenroom("mail:show", "--html", "-a", APP).stdout == "<p>Thank you.</p>"


@pytest.mark.parametrize("words", [["--raw", "--html"], ["--html", "--json"], ["-o", "x"]])
def test_options_that_contradict_each_other_are_refused(at_server, greenroom, words):
    assert greenroom("mail:show", *words, "-a", APP).exit_code == 2


def test_a_mail_without_html_says_so(at_server, greenroom):
    at_server.on("GET", "A/mail/[^/]+", mail_info(html=None))
    result = greenroom("mail:show", "--html", "-a", APP)
    assert result.exit_code == 1
    assert "Mail 12 has no HTML." in result.stderr


def test_new_mail_is_followed_oldest_first(at_server, greenroom, monkeypatch):
    answers = iter([[mail(1)], [mail(3), mail(2), mail(1)], [mail(3), mail(2)]])
    at_server.on("GET", "A/mail", lambda request: next(answers))
    rests = iter([None])

    def rest(seconds):
        if next(rests, "over") == "over":
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", rest)
    result = greenroom("mail", "--follow", "--json", "-a", APP)
    assert [json.loads(line)["number"] for line in result.stdout.splitlines()] == [2, 3]
    assert commands.PAUSE >= 0.5


def test_nothing_is_deleted_without_confirmation(at_server, greenroom):
    assert greenroom("mail:clear", "-a", APP).exit_code == 1
    assert not at_server.asked("DELETE")
    result = greenroom("mail:clear", "-a", APP, "--confirm", APP)
    assert "Deleted 2 mails." in result.stderr


def test_allowed_entries_are_sent_one_by_one_and_can_be_taken_back(at_server, greenroom):
    at_server.on("POST", "A/mail-trap/allowed", mail_trap(allowed=["a@x.example"], relay=None))
    result = greenroom("mail:allow", "a@x.example", "@y.example", "-a", APP)
    assert [request.body["entry"] for request in at_server.asked("POST")] == ["a@x.example", "@y.example"]
    assert "greenroom mail:relay smtp://USER@HOST" in result.stderr
    assert f"undo with: greenroom mail:deny a@x.example @y.example -a {APP}" in result.stderr
    greenroom("mail:deny", "@y.example", "-a", APP)
    assert at_server.asked("DELETE")[-1].path.endswith("/mail-trap/allowed/@y.example")


def test_the_password_of_a_relay_comes_from_stdin(at_server, greenroom):
    url = "smtp://me@smtp.example.com:587"
    result = greenroom("mail:relay", url, "-a", APP, stdin="secret word\n")
    assert at_server.asked("PUT")[-1].body == {"url": url, "password": "secret word"}
    assert "secret" not in result.output
    assert f"undo with: greenroom mail:relay --off -a {APP}" in result.stderr
    greenroom("mail:relay", "smtp://smtp.example.com", "-a", APP)
    assert at_server.asked("PUT")[-1].body["password"] == ""
    assert greenroom("mail:relay", "-a", APP).stdout == f"{url}\n"
    assert greenroom("mail:relay", "--off", "-a", APP).stdout == "none\n"
    assert greenroom("mail:relay", url, "--off", "-a", APP).exit_code == 2
