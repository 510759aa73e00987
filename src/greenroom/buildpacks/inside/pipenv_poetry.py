"""Runs pipenv and poetry like Heroku, each from its own environment, into the app's environment. Only in the app's own
sandbox.
"""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
import explain

SETTINGS = {
    "pipenv": {
        "PIPENV_SYSTEM": "1",
        "PIPENV_VERBOSITY": "-1",
        "PIPENV_NOSPIN": "1",
        "PIP_NO_COMPILE": "1",
        "PIP_SRC": common.ENV + "/src",
    },
    "poetry": {
        "POETRY_VIRTUALENVS_CREATE": "false",
        "POETRY_VIRTUALENVS_USE_POETRY_PYTHON": "true",
        "POETRY_NO_INTERACTION": "1",
    },
}
COMMANDS = {
    ("pipenv", False): ["install", "--deploy"],
    ("pipenv", True): ["install", "--deploy", "--dev"],
    ("poetry", False): ["sync", "--only", "main"],
    ("poetry", True): ["install"],
}
"""(tool, with the groups for tests) -> command. On an environment that is only extended, poetry must not remove
packages.
"""
HIDDEN = {"pipenv": [], "poetry": ["--no-ansi", "--no-interaction"]}
NOISE = ("Courtesy Notice", "[DeployException]")


def title(job):
    """The step's heading: the command as a user would type it."""
    return "Installing dependencies using '%s'" % " ".join(
        [job["manager"], *COMMANDS[job["manager"], bool(job.get("groups"))]]
    )


def environment(job, base):
    """The tool's environment: the only config vars of the app are those visible to installers."""
    name, cache = job["manager"], "/greenroom/cache/" + job["manager"]
    env = {key: value for key, value in base.items() if not key.startswith("UV_")}
    env.update(
        SETTINGS[name],
        VIRTUAL_ENV=common.ENV,
        XDG_CACHE_HOME=cache,
        PIP_CACHE_DIR=cache + "/pip",
        PYTHONDONTWRITEBYTECODE="1",
    )
    env.update(PIPENV_CACHE_DIR=cache, POETRY_CACHE_DIR=cache, PIP_DISABLE_PIP_VERSION_CHECK="1", COLUMNS="200")
    passed = ("PIP_EXTRA_INDEX_URL", "PIPENV_PYPI_MIRROR", "PIP_DEFAULT_TIMEOUT")
    env.update(
        {key: value for key, value in os.environ.items() if key in passed or key.startswith("POETRY_HTTP_BASIC_")}
    )
    if "SSL_CERT_FILE" in env:
        env.update(REQUESTS_CA_BUNDLE=env["SSL_CERT_FILE"], PIP_CERT=env["SSL_CERT_FILE"])
    return env


def install(job, timer, folder, base):
    """Run the tool with the lock file in ``folder``; classify a failure and raise it.

    Runs the tool's script: ``python -m`` would import files in ``folder`` that shadow the tool's modules.
    """
    name = job["manager"]
    argv = [os.path.join(job["tool"], "bin", name), *COMMANDS[name, bool(job.get("groups"))], *HIDDEN[name]]
    with timer("install"):
        code, tail = common.run(argv, environment(job, base), folder, hide=NOISE)
    if code:
        raise common.Failed("install-dependencies::" + name, *explain.locked(name, "\n".join(tail), code))
    if name == "pipenv" and not job.get("overlay"):
        _link("pipenv")


def _link(name):
    """Put ``pipenv`` on the app's PATH, as on Heroku."""
    path = os.path.join(common.ENV, "bin", name)
    if not os.path.lexists(path):
        os.symlink(f"../{name}/bin/{name}", path)
