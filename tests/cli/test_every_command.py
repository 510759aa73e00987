"""Rules for all commands: help with an example, --json on reads, one list of names and summaries."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from greenroom_cli import catalogue
from greenroom_cli.main import cli
from tests.cli.rows import APP, BUILD, SHA

TENANT = sorted(catalogue.COMMANDS)
READS = {
    "apps": [],
    "apps:info": [],
    "config": [],
    "config:get": ["DEBUG"],
    "ps": [],
    "ps:scale": [],
    "jobs": [],
    "jobs:info": ["nightly"],
    "jobs:runs": [],
    "jobs:log": ["17"],
    "logs": [],
    "builds": [],
    "builds:info": [],
    "builds:output": [BUILD],
    "builds:cache": [],
    "builds:vars": [],
    "buildpacks": [],
    "slugs:info": [],
    "slugs:sbom": [],
    "checks": [],
    "checks:info": ["scan"],
    "checks:tokens": [],
    "checks:ignores": [],
    "checks:policy": [],
    "releases": [],
    "releases:info": ["v12"],
    "deliveries": [],
    "deliveries:info": [],
    "deliveries:wait": [SHA],
    "migrations": [],
    "migrations:rehearsal": ["1"],
    "pg:info": [],
    "source:info": [],
    "pg:snapshots": [],
    "pg:snapshots:info": ["b001"],
    "mail": [],
    "mail:show": [],
    "mail:info": [],
    "egress": [],
    "volumes": [],
    "volumes:info": ["media"],
    "volumes:snapshots": ["media"],
    "domains": [],
    "access": [],
    "pipelines": [],
    "pipelines:info": ["payslip"],
    "ci": [],
    "ci:info": ["12"],
    "ci:last": [],
    "ci:config": [],
    "ci:config:get": ["WORD"],
    "reviewapps": ["-p", "payslip"],
    "certs": [],
    "certs:info": ["stegosaurus-1"],
    "drains": [],
    "notify": [],
    "addons": [],
    "maintenance": [],
    "audit": [],
    "audit:verify": [],
    "whoami": [],
    "accounts": [],
    "tokens": [],
    "invitations": [],
    "logins": [],
    "transfers": [],
    "version": [],
}
WRITES = {
    "egress:allow",
    "egress:close",
    "egress:open",
    "egress:remove",
    "prepare",
    "create",
    "rename",
    "destroy",
    "git:remote",
    "git:credentials",
    "config:set",
    "config:unset",
    "ps:restart",
    "ps:stop",
    "run",
    "jobs:run",
    "jobs:add",
    "jobs:remove",
    "jobs:pause",
    "jobs:resume",
    "source:set",
    "source:sync",
    "source:accept",
    "source:rotate-secret",
    "source:unset",
    "checks:rerun",
    "checks:upload",
    "checks:ignore",
    "checks:unignore",
    "checks:token",
    "checks:unpin",
    "deliveries:drop",
    "deliveries:retry",
    "releases:retry",
    "deploy:override",
    "deploy:pause",
    "deploy:resume",
    "rollback",
    "migrations:run",
    "migrations:rehearse",
    "pg:snapshots:capture",
    "pg:snapshots:pin",
    "pg:snapshots:unpin",
    "pg:snapshots:delete",
    "pg:restore",
    "mail:clear",
    "mail:allow",
    "mail:deny",
    "mail:relay",
    "volumes:create",
    "volumes:resize",
    "volumes:destroy",
    "volumes:pull",
    "volumes:push",
    "volumes:snapshot",
    "volumes:snapshots:delete",
    "volumes:restore",
    "domains:add",
    "domains:remove",
    "pipelines:create",
    "pipelines:add",
    "pipelines:update",
    "pipelines:remove",
    "pipelines:rename",
    "pipelines:destroy",
    "pipelines:promote",
    "ci:run",
    "ci:config:set",
    "ci:config:unset",
    "reviewapps:create",
    "reviewapps:destroy",
    "reviewapps:enable",
    "reviewapps:disable",
    "certs:add",
    "certs:update",
    "certs:remove",
    "certs:auto",
    "drains:add",
    "drains:remove",
    "notify:add",
    "notify:remove",
    "notify:test",
    "ci:cancel",
    "builds:cancel",
    "builds:cache:purge",
    "builds:vars:add",
    "builds:vars:remove",
    "buildpacks:add",
    "buildpacks:remove",
    "buildpacks:clear",
    "maintenance:on",
    "maintenance:off",
    "access:add",
    "access:remove",
    "accounts:create",
    "accounts:token",
    "accounts:disable",
    "accounts:enable",
    "accounts:promote",
    "accounts:demote",
    "accounts:delete",
    "invitations:create",
    "invitations:revoke",
    "login",
    "logout",
    "logins:use",
    "tokens:create",
    "tokens:revoke",
    "accounts:password",
    "transfers:offer",
    "transfers:accept",
    "transfers:decline",
    "transfers:withdraw",
}
TEXT_ONLY = {"help", "completion", "open"}


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None, name
    return found


def test_each_command_is_a_read_or_a_write_of_this_test():
    assert set(READS) | WRITES | TEXT_ONLY == set(TENANT)


@pytest.mark.parametrize("name", TENANT)
def test_each_command_has_help_with_an_example_of_itself(greenroom, name):
    result = greenroom(name, "--help")
    assert result.exit_code == 0
    example = result.stdout.partition("Example:")[2]
    assert name == "git:credentials" or f"greenroom {name}" in example


@pytest.mark.parametrize("name", TENANT)
def test_the_list_says_the_same_of_a_command_as_its_own_help(name):
    first = (command(name).help or "").strip().splitlines()[0]
    summary = catalogue.COMMANDS[name][2].replace(" (administrators)", "")
    words = set(re.findall(r"[a-z]{4,}", summary.lower()))
    assert words <= set(re.findall(r"[a-z]{4,}", (command(name).help or "").lower())), (summary, first)


@pytest.mark.parametrize("name", sorted(READS))
def test_each_read_has_json(name):
    assert any("--json" in parameter.opts for parameter in command(name).params)


@pytest.mark.parametrize("name", sorted(READS))
def test_json_of_a_read_is_json_and_nothing_else(at_server, greenroom, name):
    extra = ["-a", APP] if any("--app" in parameter.opts for parameter in command(name).params) else []
    result = greenroom(name, *READS[name], *extra, "--json")
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    rows = [json.loads(line) for line in text.splitlines()] if name == "logs" else json.loads(text)
    assert rows
    assert not [request for request in at_server.requests if request.method not in ("GET", "POST")]
    assert all(request.path.endswith("log-sessions") for request in at_server.asked("POST"))


@pytest.mark.parametrize("name", sorted(READS))
def test_each_read_shows_something_to_people_and_no_escape_sequence(at_server, greenroom, name):
    extra = ["-a", APP] if any("--app" in parameter.opts for parameter in command(name).params) else []
    result = greenroom(name, *READS[name], *extra)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() or name == "deliveries:wait"
    assert "\x1b" not in result.output


@pytest.mark.parametrize("name", TENANT)
def test_examples_parse(name):
    """The command's own parser accepts the arguments of each example."""
    for line in getattr(command(name), "example", "").splitlines():
        inner = re.search(r"\$\((greenroom [^)]*)\)", line)
        words = shlex.split(inner[1] if inner else re.sub(r"\$\([^)]*\)", "x", line))
        words = words[: min((words.index(stop) for stop in ("|", ">") if stop in words), default=len(words))]
        if words[0] == "greenroom":
            command(words[1]).make_context(words[1], words[2:])


def test_aliases_lead_to_commands_and_hide_none():
    assert set(catalogue.ALIASES.values()) <= set(catalogue.COMMANDS)
    assert not set(catalogue.ALIASES) & (set(catalogue.COMMANDS) | set(catalogue.HOST))


def test_host_commands_of_the_list_exist():
    for name in catalogue.HOST:
        assert command(name).name == name


@pytest.mark.parametrize("name", catalogue.HOST)
def test_each_host_command_has_help_with_an_example_of_itself(greenroom, name):
    result = greenroom(name, "--help")
    assert result.exit_code == 0
    assert f"greenroom {name}" in result.stdout.partition("Example:")[2]


@pytest.mark.parametrize("name", ["status", "doctor", "env"])
def test_each_read_of_the_host_has_json(name):
    assert any("--json" in parameter.opts for parameter in command(name).params)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_of_its_own(greenroom, shell):
    assert "_GREENROOM_COMPLETE" in greenroom("completion", shell).stdout


def test_help_names_every_listed_command_by_topic(greenroom):
    text = greenroom("help").stdout
    for name, (topic, _, summary) in catalogue.COMMANDS.items():
        assert topic == "-" or re.search(rf"^  {re.escape(name)} +{re.escape(summary[:20])}", text, re.MULTILINE)
    assert text.index("Apps:") < text.index("Config vars:") < text.index("Releases and rollbacks:")


def test_help_of_a_topic_lists_its_commands(greenroom):
    result = greenroom("help", "deliveries")
    assert "deliveries:wait" in result.stdout
    result = greenroom("help", "git")
    assert "git:remote" in result.stdout
    assert greenroom("help", "nonsense").exit_code == 2


@pytest.mark.neighbours
def test_the_tenant_verbs_know_neither_django_nor_httpx():
    """Each module of the command is imported in a fresh interpreter."""
    import subprocess
    import sys

    code = (
        "import sys, importlib\nfrom greenroom_cli import catalogue\nfor _, place, _ in catalogue.COMMANDS.values():"
        " importlib.import_module('greenroom_cli.' + place.partition(':')[0])\nbad = {'django', 'httpx', 'rich',"
        " 'requests'} & set(sys.modules); print(sorted(bad)); sys.exit(bool(bad))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.neighbours
def test_help_imports_no_verb_and_no_http():
    import subprocess
    import sys

    code = (
        "import sys\nfrom greenroom_cli.main import cli\ntry: cli.main(['--help'])\nexcept SystemExit: pass\nslow ="
        " {'http.client', 'ssl', 'json', 'subprocess', 'greenroom_cli.ps', 'greenroom_cli.host.commands'} &"
        " set(sys.modules)\nprint(sorted(slow), file=sys.stderr); sys.exit(bool(slow))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def test_every_command_is_in_the_readable_list_once():
    names = re.findall(r"^\S+ +(\S+) ", Path(catalogue.__file__).read_text().partition('_ROWS = """')[2], re.MULTILINE)
    listed = [name for name in names if name in catalogue.COMMANDS]
    assert len(listed) == len(set(listed))
