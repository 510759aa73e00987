"""Runs an app's own tests on an existing schema: ``python - FOLDER``, with a job and two other scripts around this
text.

Django's runner keeps the database (--keepdb) and pytest-django reuses it (--reuse-db): the migrations of the code are
already applied.
Writes ``FOLDER/tests.json``: {state: ok, fails or unknown, detail, seconds}.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time

SHIM = "greenroom_on_a_copy"
TEXT = """from {module} import *
import copy, os
from django.core.exceptions import ImproperlyConfigured
DATABASES = copy.deepcopy(DATABASES)
if DATABASES["default"].get("NAME") != os.environ["GREENROOM_COPY"]:
    raise ImproperlyConfigured("the tests use another database than that of DATABASE_URL")
DATABASES["default"]["TEST"] = dict(DATABASES["default"].get("TEST") or {{}}, NAME=DATABASES["default"]["NAME"])
"""
NAMED = re.compile(r"^\s*(?:DJANGO_SETTINGS_MODULE|--ds)\s*=\s*[\"']?([A-Za-z_][\w.]*)", re.MULTILINE)
FILES = ("pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
RESULT = re.compile(r"FAILED \(.*\)|=+ .*(failed|error).* in .*=+|\d+ (failed|error).* in .*")


def words_of(command):
    """(arguments to run, kind) of a plain test command of Django or pytest; (None, reason) for any other."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words or any(word in (";", "&&", "||", "|", "&") for word in words):
        return None, "its test command is shell text"
    words = [word for word in words if not re.match(r"--parallel(=|$)", word)]
    for number, word in enumerate(words):
        if word.endswith("manage.py") and words[number + 1 : number + 2] == ["test"]:
            return [*words, "--keepdb", "--noinput"], "django"
    if words[0].rpartition("/")[2] in ("pytest", "py.test") or words[1:3] == ["-m", "pytest"]:
        return [*words, "--reuse-db", "--ds=" + SHIM], "pytest"
    return None, "its test command is neither Django's nor pytest's"


def settings_of(kind, probe):
    """The settings module of the app's tests; None if it is unknown."""
    if os.environ.get("DJANGO_SETTINGS_MODULE"):
        return os.environ["DJANGO_SETTINGS_MODULE"]
    for name in FILES if kind == "pytest" else ():
        if os.path.isfile(name):
            with open(name, encoding="utf-8", errors="replace") as file:
                found = NAMED.search(file.read())
            if found:
                return found.group(1)
    manage = probe.find_manage(os.getcwd())
    if manage is None:
        return None
    with open(manage, encoding="utf-8", errors="replace") as file:
        return probe.settings_module(file.read())


def work(folder, job, plan, probe, cell):
    """The answer."""
    command = plan.find(os.getcwd(), job.get("command"))
    words, kind = words_of(command.text) if command else (None, "it has no tests")
    module = settings_of(kind, probe) if words else None
    if words is None or module is None:
        return {"state": "unknown", "detail": kind if words is None else "its settings module is unknown"}
    with open(os.path.join(folder, SHIM + ".py"), "w", encoding="utf-8") as file:
        file.write(TEXT.format(module=module))
    env = dict(os.environ, DJANGO_SETTINGS_MODULE=SHIM, GREENROOM_COPY=job["database"])
    env["PYTHONPATH"] = os.pathsep.join([folder, os.getcwd(), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=job["seconds"],
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"state": "unknown", "detail": "its tests did not end within %d s" % job["seconds"]}
    except OSError as error:
        return {"state": "unknown", "detail": "its tests cannot be started: %s" % error.strerror}
    if done.returncode == 0:
        return {"state": "ok", "detail": ""}
    text = done.stdout.decode(errors="replace")
    count = [match.group(0).strip("= ") for match in RESULT.finditer(text)]
    return {
        "state": "fails",
        "detail": "; ".join([cell.last_words(re.sub(rb"(?m)^E\s+", b"", done.stdout)), *count[-1:]]),
    }


def main(argv, job, plan, probe, cell):
    """Write the answer to the folder."""
    began = time.monotonic()
    os.nice(10)  # serving processes have priority
    try:
        found = work(argv[1], job, plan, probe, cell)
    except BaseException as error:
        found = {"state": "unknown", "detail": "%s: %s" % (type(error).__name__, error)}
    target = os.path.join(argv[1], "tests.json")
    with open(target + ".new", "w", encoding="utf-8") as file:
        file.write(json.dumps(dict(found, seconds=round(time.monotonic() - began, 3))))
    os.chmod(target + ".new", 0o644)
    os.rename(target + ".new", target)
    sys.stdout.flush()
    os._exit(0)
