"""Translates the commands in a message to those of the client that reads it: the Heroku CLI or ``greenroom``.

A command that the client does not have, or has without the option that is used, stays as it is.
"""

from __future__ import annotations

import base64
import binascii
import re

HEROKU, GREENROOM = "heroku", "greenroom"
SAME = (
    "config",
    "config:get",
    "config:set",
    "config:unset",
    "ps",
    "ps:scale",
    "ps:restart",
    "ps:stop",
    "run",
    "logs",
    "drains",
    "drains:add",
    "drains:remove",
    "releases",
    "releases:info",
    "releases:retry",
    "domains",
    "domains:add",
    "domains:remove",
    "certs",
    "certs:info",
    "certs:add",
    "certs:update",
    "certs:remove",
    "certs:auto",
    "maintenance",
    "maintenance:on",
    "maintenance:off",
    "access",
    "access:add",
    "access:remove",
    "pipelines",
    "pipelines:info",
    "pipelines:create",
    "pipelines:add",
    "pipelines:update",
    "pipelines:remove",
    "pipelines:rename",
    "pipelines:destroy",
    "pipelines:promote",
    "ci",
    "ci:info",
    "ci:last",
    "ci:run",
    "ci:config",
    "ci:config:get",
    "ci:config:set",
    "ci:config:unset",
    "reviewapps:enable",
    "reviewapps:disable",
    "addons",
    "pg:info",
    "apps",
    "apps:info",
    "buildpacks",
    "buildpacks:add",
    "buildpacks:remove",
    "buildpacks:clear",
    "create",
    "git:remote",
)
TO_HEROKU = {name: name for name in SAME} | {
    "rename": "apps:rename",
    "destroy": "apps:destroy",
    "open": "apps:open",
    "rollback": "releases:rollback",
    "whoami": "auth:whoami",
    "tokens": "authorizations",
    "tokens:create": "authorizations:create",
    "tokens:revoke": "authorizations:revoke",
}
TO_GREENROOM = {there: here for here, there in TO_HEROKU.items()}
OWN_OPTIONS = re.compile(
    r" --(role|json|sha|force|reason|until|stage|description|scope|home|no-snapshot|detached|no-wait|timeout|stdin"
    r"|days|stale-days)\b"
)
"""Options of ``greenroom`` that the Heroku CLI's command of that name does not have, or has with another meaning."""
CONFIRM = re.compile(r" --confirm\b")
CONFIRMED = ("destroy", "certs:remove", "certs:update")
"""Commands that take ``--confirm`` in the Heroku CLI too; its other ones do not."""
_COMMAND = re.compile(r"\b(greenroom|heroku) ([a-z]+(?::[a-z-]+)*)(?![\w.-])([^`\"\n;]*)")
_REMOTE = re.compile(r"\b(git (?:lfs )?(?:push|fetch|pull)(?: -[\w-]+)*) (?:greenroom|heroku)\b")


def of_agent(agent: str) -> str:
    """The client by its User-Agent; empty for any other."""
    if agent.startswith("heroku-cli/"):
        return HEROKU
    return GREENROOM if agent == GREENROOM or agent.startswith("greenroom/") else ""


def of_credentials(header: str) -> str:
    """The client by the user name of a Basic Authorization header: the credential helper of each command gives its own
    name, as its remote has it.
    """
    kind, _, rest = header.strip().partition(" ")
    try:
        user = base64.b64decode(rest.strip(), validate=True).partition(b":")[0] if kind.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return ""
    return {b"heroku": HEROKU, b"greenroom": GREENROOM}.get(user, "")


def in_words_of(client: str, text: str) -> str:
    """The text with the client's commands and remote; unchanged for an unknown client."""
    if client not in (HEROKU, GREENROOM) or (GREENROOM not in text and HEROKU not in text):
        return text
    known = TO_HEROKU if client == HEROKU else TO_GREENROOM

    def word(match: re.Match[str]) -> str:
        program, name, rest = match.groups()
        if program == client or name not in known or (client == HEROKU and _own(name, rest)):
            return match[0]
        return f"{client} {known[name]}{rest}"

    return _REMOTE.sub(rf"\1 {client}", _COMMAND.sub(word, text))


def _own(name: str, rest: str) -> bool:
    """Whether ``greenroom NAME`` is followed by an option that the Heroku CLI's command does not have."""
    return bool(OWN_OPTIONS.search(rest) or (name not in CONFIRMED and CONFIRM.search(rest)))
