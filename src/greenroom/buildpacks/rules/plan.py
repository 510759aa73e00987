"""Combines the rules of this room into a build plan for the builds room.

Reads the commit through a Source and the list of the host's interpreters; starts and writes nothing.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenroom.addons.rules.services import Service, plan_problem, services, substitute
from greenroom.buildpacks.drivers.commit_files import Source
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import package_managers, python_versions, secret_key, version_files
from greenroom.buildpacks.rules.app_files import read_app_json, read_procfile, read_settings, required_env
from greenroom.buildpacks.rules.dependency_files import Install, install_of, pipfile_python
from greenroom.buildpacks.rules.python_versions import Interpreter
from greenroom.buildpacks.rules.slugignore import ignored, patterns
from greenroom.config_vars import rules as config_rules

ENV_FORMAT = "2"
"""Part of every environment's key: increase it when environments are built differently."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The build plan of a commit. lines: first output to the user; warnings: framed notices.

    better: a Python version that would suit better.
    """

    python: Interpreter
    install: Install
    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    process_types: dict[str, str] = field(default_factory=dict)
    app_json: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    post_compile: bool = False
    nltk: bool = False
    better: str = ""


def settings_of(source: Source) -> dict[str, Any]:
    """greenroom.toml of the repository's root directory."""
    return read_settings(source.read("greenroom.toml"))


def begin(source: Source) -> tuple[str, ...]:
    """Apply .slugignore, then detect the app. Returns the ignored names, which ``source`` then hides."""
    slugignore = source.read(".slugignore") or b""
    left_out = ignored(slugignore, source.files()) if slugignore else []
    _folder_exists(source, source.root_names())
    source.leave_out(left_out)
    package_managers.detect(source.root_names())
    return tuple(left_out)


def has_pre_compile(source: Source) -> bool:
    """Whether bin/pre_compile must run before the plan, since it may write files that the plan reads."""
    return source.read("bin/pre_compile") is not None


def make(
    source: Source,
    *,
    settings: dict[str, Any],
    interpreters: Sequence[Interpreter],
    cached: tuple[int, int] | None = None,
    attached: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of the app in ``source``: after ``begin``, or with the tree of bin/pre_compile. BuildError in Heroku's
    order.

    cached: the 3.N of the app's last build, for an app without a version. attached: the app's attachments: name ->
    kind of the add-on.
    """
    names = source.root_names()
    _no_python(source)
    policy = settings.get("policy") or {}
    manager = package_managers.choose(names, several=policy.get("package_managers", "error"))
    _no_venv(source)
    choice = _python(source, manager, interpreters, cached, policy)
    described = _parsed(source, "app.json", read_app_json)
    return Plan(
        python=choice.interpreter,
        install=install_of(source, manager),
        lines=(choice.line,),
        warnings=(
            *manager.warnings,
            *choice.warnings,
            *_negations(source.read(".slugignore") or b""),
            *_addons(described, attached or {}),
            *_never_given(described),
            *_ignored_values(described),
        ),
        process_types=_parsed(source, "Procfile", read_procfile),
        app_json=described,
        settings=settings,
        post_compile=source.read("bin/post_compile") is not None,
        nltk="nltk.txt" in source,
        better=choice.better,
    )


def _parsed(source: Source, name: str, parse: Callable[[bytes], dict[str, Any]]) -> dict[str, Any]:
    """The content of a file of the root directory; empty without the file."""
    data = source.read(name)
    return {} if data is None else parse(data)


def _python(
    source: Source,
    manager: package_managers.Manager,
    interpreters: Sequence[Interpreter],
    cached: tuple[int, int] | None,
    policy: Mapping[str, str],
) -> python_versions.Choice:
    """The interpreter for the app's files, within the policy of greenroom.toml."""
    files = {name: data for name in ("runtime.txt", ".python-version") if (data := source.read(name)) is not None}
    pipfile = (lambda: pipfile_python(source.read(manager.file) or b"")) if manager.name == "pipenv" else None
    return python_versions.choose(
        version_files.requested(files, source.root_names(), cached=cached, pipfile=pipfile),
        interpreters,
        manager=manager.name,
        eol=policy.get("python_eol", "error"),
        default=policy.get("python_default", "warn"),
    )


def needed_secret(source: Source, chosen: str) -> str:
    """The variable that the app's settings need for SECRET_KEY; empty if there is none. chosen: the config var
    DJANGO_SETTINGS_MODULE.
    """

    def read(name: str) -> bytes | None:
        try:
            return source.read(name)
        except BuildError:  # too large for a settings module
            return None

    module = secret_key.settings_module(read, source.files(), chosen)
    return secret_key.needed(read, module) if module else ""


def _folder_exists(source: Source, names: Sequence[str]) -> None:
    if source.root and not names:
        raise BuildError(
            "greenroom-toml::invalid",
            f"greenroom.toml, root: the folder {source.root!r} is not in the commit.",
            hint="correct root in greenroom.toml",
        )


def _negations(slugignore: bytes) -> tuple[str, ...]:
    _, negated = patterns(slugignore)
    return (
        (f"Warning: .slugignore, {negated[0]!r}: negation is not supported, so this pattern was ignored.",)
        if negated
        else ()
    )


def _options(service: Service, entry: str | dict[str, Any]) -> str:
    """The options of an entry as the Heroku CLI takes them."""
    given = service.options_in(entry.get("options") if isinstance(entry, dict) else None)
    return " --" + "".join(f" --{key} {shlex.quote(str(value))}" for key, value in given.items()) if given else ""


def _addons(app_json: dict[str, Any], attached: Mapping[str, str]) -> tuple[str, ...]:
    """The ``addons`` of app.json except those that the app has, or that each app has by default."""
    found = (_addon(entry, attached) for entry in app_json.get("addons") or [])
    return tuple(f"Warning: app.json requires {text}" for text in found if text)


def _addon(entry: str | dict[str, Any], attached: Mapping[str, str]) -> str:
    plan, name = (entry, "") if isinstance(entry, str) else (entry["plan"], str(entry.get("as") or ""))
    service = plan.partition(":")[0]
    known = next((one for one in services() if service in one.names), None)
    if known is None:
        return _unknown_addon(plan, service, name, attached)
    if attached.get(name) == known.kind or (not name and known.kind in attached.values()):
        return ""
    if not known.given:
        attachment = (f" --as {name}" if name else "") + _options(known, entry)
        there = service if plan_problem(known, plan) else plan  # Heroku's plan may be unknown here
        return f"the add-on {plan}.\nCreate it once: heroku addons:create {there}{attachment}"
    if name in ("", known.attachment):
        return ""
    return f"a second {known.noun}, {name}.\nCreate it once: heroku addons:create {service} --as {name}"


def _unknown_addon(plan: str, service: str, name: str, attached: Mapping[str, str]) -> str:
    """An add-on of Heroku's that is not available, with what takes its place."""
    other = substitute(service)
    if "scheduler" in service or "cron" in service:
        return (
            f"the add-on {plan}; on Greenroom, jobs need no add-on.\nDeclare them in greenroom.toml as [jobs.NAME], or:"
            " greenroom jobs:add NAME --schedule @daily -- COMMAND"
        )
    if other and not other.given:
        taken = other.kind in attached.values()
        there = f"the add-on {plan}, which is not available.\nInstead: heroku addons:create {other.name}"
        return "" if taken else there
    key = f"{(name or service.removeprefix('heroku-')).upper().replace('-', '_')}_URL"
    return f"the add-on {plan}, which is not available.\nSet its URL as a config var: greenroom config:set {key}=..."


def _never_given(app_json: dict[str, Any]) -> tuple[str, ...]:
    """Reserved names that app.json requires and no dyno has: nobody can set them, so the release does not require
    them.
    """
    wanted = required_env({"env": app_json.get("env")}, is_django=False)
    names = [key for key in wanted if config_rules.reserved(key) and not config_rules.given(key)]
    return tuple(
        f"Warning: app.json requires {key}, which Greenroom does not set; the name is reserved, so you cannot set"
        f" it.\nInstead: {config_rules.remedy(key)}."
        for key in names
    )


def _ignored_values(app_json: dict[str, Any]) -> tuple[str, ...]:
    """Reserved names whose value in app.json is ignored."""
    given = [
        key
        for key, entry in (app_json.get("env") or {}).items()
        if isinstance(entry, str) or {"value", "generator"} & set(entry)
    ]
    return tuple(
        f"Warning: app.json gives {key} a value, which is ignored: the name is reserved.\nInstead:"
        f" {config_rules.remedy(key)}."
        for key in given
        if config_rules.reserved(key)
    )


def _no_python(source: Source) -> None:
    if ".heroku/python" in source:
        raise BuildError(
            "checks::existing-python-dir",
            "The app has .heroku/python, which is reserved for the build: committed, or created by bin/pre_compile.",
            hint="git rm -r --cached .heroku/python",
        )


def _no_venv(source: Source) -> None:
    for name in (".venv", "venv"):
        if f"{name}/pyvenv.cfg" in source:
            raise BuildError(
                "checks::existing-venv-dir",
                f"The commit contains a virtual environment ({name}/pyvenv.cfg); the build creates its own.",
                hint=f"git rm -r --cached {name} && echo {name}/ >> .gitignore",
            )


def identity(python: Interpreter) -> str:
    """The host properties that an environment depends on: interpreter, machine and C library."""
    return "\0".join([ENV_FORMAT, python.text, python.path, platform.machine(), *platform.libc_ver()])


def environment_key(python: Interpreter, *parts: str) -> str:
    """The name of an environment: ``py311-`` and 40 hex digits over everything that determines its content.

    Other inputs always give another name.
    """
    digest = hashlib.sha256(json.dumps([identity(python), *parts]).encode()).hexdigest()
    return f"py{python.version[0]}{python.version[1]}-{digest[:40]}"
