"""Parses the files that describe an app: Procfile, app.json, greenroom.toml. Text in, plain values out.

An error raises BuildError with the file, the line, the invalid value and the allowed ones. The caller reads the files.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from greenroom.basics.ids import CONFIG_KEY, PROCESS_TYPE
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import gate_settings, job_settings
from greenroom.buildpacks.rules.storable import fault
from greenroom.config_vars import rules as config_rules

PROCFILE_LINE = re.compile(r"\s*(?P<type>[^\s:#]+)\s*:\s*(?P<command>\S.*?)\s*\Z")
CHECK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._/:-]{0,99}\Z")
MAX_PROCESS_TYPES = 50
MAX_DIGITS = 1000
"""Maximum digits of an integer in app.json."""
POLICY: dict[str, tuple[type, ...]] = {
    "health_timeout": (int, float),
    "watch_seconds": (int, float),
    "python_eol": (str,),
    "python_default": (str,),
    "package_managers": (str,),
    "migrate_in_release": (bool,),
    "schema_changes": (str,),
    "rehearse": (bool, str),
    "rehearse_tests": (bool,),
    "rollback": (str,),
}
"""Keys of ``[policy]`` and their types; those of type str accept ``error`` or ``warn``, except these."""
SECONDS = {"health_timeout": (1, 600), "watch_seconds": (0, 300)}
"""(minimum, maximum) of settings in seconds."""
REHEARSE = (False, True, "before-switch", "beside")
ROLLBACK = ("ask", "refuse", "tell")
SETTINGS = ("health_path", "smoke", "required_checks", "root", "policy", "scan", "tests", "jobs")
STRICTNESS = ("error", "warn")


def _text(data: bytes, name: str, reason: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BuildError(
            reason,
            f"{name}, line {line}: this is not UTF-8 text (byte 0x{data[error.start]:02x}).",
            hint=f"save {name} as UTF-8 and commit it",
        ) from error
    before, nul, _ = text.partition("\0")
    if nul:
        place = before.count("\n") + 1
        text = f"{name}, line {place}: it contains a NUL byte, as text in UTF-16 does; UTF-8 without NUL is expected."
        raise BuildError(reason, text, hint=f"save {name} as UTF-8 and commit it")
    return text


def read_procfile(data: bytes) -> dict[str, str]:
    """``{type: command}`` in file order. Blank lines and ``#`` lines are skipped."""
    found: dict[str, str] = {}
    for number, line in enumerate(_text(data, "Procfile", "procfile::invalid").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = PROCFILE_LINE.match(line)
        problem = _procfile_problem(match, found)
        if problem or not match:
            raise BuildError(
                "procfile::invalid",
                f"Procfile, line {number}: {problem}; found {line.strip()[:100]!r}. "
                "A line is `type: command`, the type made of letters, digits, - and _.",
                hint="web: gunicorn mysite.wsgi",
            )
        found[match["type"]] = match["command"]
    return found


def _procfile_problem(match: re.Match[str] | None, found: Mapping[str, str]) -> str:
    if not match:
        return "this is not `type: command`"
    name = match["type"]
    if not PROCESS_TYPE.match(name):
        return f"{name[:60]!r} cannot be a process type"
    if name in found:
        return f"the type {name!r} is defined twice"
    return "there are too many process types" if len(found) >= MAX_PROCESS_TYPES else ""


def _bad_json(
    path: str, problem: str, hint: str = "see docs/reference/app-files.md for the format of app.json"
) -> BuildError:
    return BuildError("app-json::invalid", f"app.json, {path}: {problem}.", hint=hint)


def read_app_json(data: bytes) -> dict[str, Any]:
    """The file's object, with the keys that Greenroom uses validated: env, scripts, formation, addons, environments."""
    text = _text(data, "app.json", "app-json::invalid")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise _bad_json(f"line {error.lineno}, column {error.colno}", f"this is not JSON: {error.msg}") from error
    except RecursionError as error:
        raise _bad_json("top level", "nested too deeply") from error
    if not isinstance(value, dict):
        raise _bad_json("top level", f"an object is expected, found {_kind(value)}")
    if found := fault(value):
        raise _bad_json(*found)
    _check_app_json(value, "")
    _check_given(value, "")
    environments = _expect(value, "environments", dict, "")
    for name, inner in environments.items():
        if not isinstance(inner, dict):
            raise _bad_json(f"environments.{name}", f"an object is expected, found {_kind(inner)}")
        _check_app_json(inner, f"environments.{name}.")
        if name == "review":  # config vars of a review app; those of tests do not become config vars
            _check_given(inner, "environments.review.")
    return value


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _bad_json(
            f"number {text[:20]}...",
            f"it has {len(text)} digits; {MAX_DIGITS} are allowed",
            hint="write it as a string",
        )
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _bad_json(f"key {twice!r}", "it occurs twice in the same object")
    return found


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _expect(value: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    found = value.get(key)
    if found is None:
        return kind()
    if not isinstance(found, kind):
        raise _bad_json(where + key, f"{_kind(kind())} is expected, found {_kind(found)}")
    return found


def _check_app_json(value: Mapping[str, Any], where: str) -> None:
    for key, entry in _expect(value, "env", dict, where).items():
        if not CONFIG_KEY.match(key):
            raise _bad_json(f"{where}env", f"{key[:60]!r} is not a valid config var name: use letters, digits and _")
        if not isinstance(entry, str | dict):
            raise _bad_json(f"{where}env.{key}", f"a string or an object is expected, found {_kind(entry)}")
        if isinstance(entry, dict):
            _check_env_entry(entry, f"{where}env.{key}.")
    for key, script in _expect(value, "scripts", dict, where).items():
        if not isinstance(script, str):
            raise _bad_json(f"{where}scripts.{key}", f"a string is expected, found {_kind(script)}")
    for key, entry in _expect(value, "formation", dict, where).items():
        quantity = entry.get("quantity", 1) if isinstance(entry, dict) else None
        if type(quantity) is not int or not 0 <= quantity <= 100:
            raise _bad_json(f"{where}formation.{key}", 'expected {"quantity": 0 to 100}')
    for index, addon in enumerate(_expect(value, "addons", list, where)):
        if not (isinstance(addon, str) or (isinstance(addon, dict) and isinstance(addon.get("plan"), str))):
            raise _bad_json(f"{where}addons[{index}]", 'expected "service:plan" or {"plan": ...}')


def _check_given(value: Mapping[str, Any], where: str) -> None:
    """Validate values that become config vars. Reserved names are allowed: the platform sets them."""
    for key, entry in (value.get("env") or {}).items():
        first = entry if isinstance(entry, str) else entry.get("value")
        problem = "" if config_rules.reserved(key) else config_rules.problem(key, first)
        if problem:
            raise _bad_json(f"{where}env.{key[:80]}", problem.rstrip("."), hint=f"correct {key[:80]} in app.json")


def _check_env_entry(entry: Mapping[str, Any], where: str) -> None:
    if not isinstance(entry.get("required", True), bool):
        raise _bad_json(f"{where}required", f"true or false is expected, found {_kind(entry['required'])}")
    for key in ("value", "description"):
        if not isinstance(entry.get(key, ""), str):
            raise _bad_json(f"{where}{key}", f"a string is expected, found {_kind(entry[key])}")
    if entry.get("generator", "secret") != "secret":
        raise _bad_json(f"{where}generator", 'only "secret" is allowed')


DJANGO_KEY = "SECRET_KEY"


def required_env(app_json: Mapping[str, Any], is_django: bool, secret_key: str = DJANGO_KEY) -> dict[str, str]:
    """The config vars that a release requires, each with the reason.

    A key of app.json's ``env`` is required unless it has ``"required": false``. One with a ``value`` or ``generator``
    is required too, since app.json is first read after the app was created; the reason then mentions it. A Django app
    always needs DATABASE_URL, and ``secret_key``: the variable that its settings read SECRET_KEY from, empty if there
    is none.
    """
    found: dict[str, str] = {}
    if is_django:
        found["DATABASE_URL"] = "a Django app needs a database; the platform sets this when the app gets one"
    if is_django and secret_key:
        why = "a Django app signs sessions with it"
        found[secret_key] = why if secret_key == DJANGO_KEY else f"the settings read {DJANGO_KEY} from it: {why}"
    for key, entry in (app_json.get("env") or {}).items():
        if isinstance(entry, dict) and entry.get("required") is False:
            continue
        found[key] = _why(entry)
    return found


def _why(entry: str | Mapping[str, Any]) -> str:
    if isinstance(entry, str):
        entry = {"value": entry}
    why = "app.json requires it"
    if entry.get("description"):
        why += f": {entry['description']}"
    if entry.get("value"):
        why += f" (app.json suggests {entry['value']!r})"
    elif entry.get("generator"):
        why += " (app.json suggests a random secret)"
    return why


def _bad_toml(where: str, problem: str) -> BuildError:
    return BuildError(
        "greenroom-toml::invalid",
        f"greenroom.toml, {where}: {problem}.",
        hint="docs/reference/greenroom-toml.md lists all keys",
    )


def read_settings(data: bytes | None) -> dict[str, Any]:
    """greenroom.toml as ``{health_path, smoke, required_checks, root, policy}`` with defaults. None: no such file.

    required_checks, scan, tests and jobs are omitted if the file does not set them.
    """
    settings: dict[str, Any] = {"health_path": "/", "smoke": "", "root": "", "policy": {}}
    if data is None:
        return settings
    try:
        value = tomllib.loads(_text(data, "greenroom.toml", "greenroom-toml::invalid"))
    except (
        ValueError,
        RecursionError,
    ) as error:  # more than 4,300 digits raise a ValueError that is not a TOMLDecodeError
        raise _bad_toml(_toml_place(str(error)), f"this is not TOML: {str(error).split(' (at ')[0]}") from error
    if found := fault(value, endless=True):
        raise _bad_toml(*found)
    unknown = sorted(set(value) - set(SETTINGS))
    if unknown:
        raise _bad_toml(f"key {unknown[0]!r}", f"unknown key; allowed are {', '.join(SETTINGS)}")
    settings |= value
    _check_health_path(settings["health_path"])
    _check_smoke(settings["smoke"])
    settings["root"] = _root(settings["root"])
    _check_required_checks(settings.get("required_checks", []))
    _check_policy(settings["policy"])
    for key in ("scan", "tests"):
        if key in settings:
            settings[key] = getattr(gate_settings, key)(settings[key], _bad_toml)
    if "jobs" in settings:
        settings["jobs"] = job_settings.jobs(settings["jobs"], _bad_toml)
    return settings


def _toml_place(message: str) -> str:
    return message.split(" (at ")[1].rstrip(")") if " (at " in message else "top level"


def _check_health_path(value: object) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"/[\x21-\x7e]{0,500}", value):
        raise _bad_toml(
            "health_path", f"a path that begins with / is expected, without spaces; found {str(value)[:60]!r}"
        )


def _check_smoke(value: object) -> None:
    if not isinstance(value, str) or "\0" in value or len(value) > 2000:
        raise _bad_toml("smoke", f'a command such as "python manage.py smoke" is expected; found {str(value)[:60]!r}')


def _root(value: object) -> str:
    text = value.strip().removeprefix("./").strip("/") if isinstance(value, str) else None
    parts = text.split("/") if text else []
    if text is None or any(part in ("", ".", "..", ".git") or "\0" in part for part in parts):
        raise _bad_toml("root", f'a folder of the repository such as "backend" is expected; found {str(value)[:60]!r}')
    return text


def _check_required_checks(value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(name, str) and CHECK_NAME.match(name) for name in value):
        raise _bad_toml(
            "required_checks", f'a list of names such as ["tests", "scan"] is expected; found {str(value)[:60]!r}'
        )


def _check_policy(value: object) -> None:
    if not isinstance(value, dict):
        raise _bad_toml("policy", f"a table is expected, found {_kind(value)}")
    for key, entry in value.items():
        if key not in POLICY:
            raise _bad_toml(f"[policy] {key}", f"unknown key; allowed are {', '.join(POLICY)}")
        if key == "rehearse":
            if entry not in REHEARSE or (isinstance(entry, int | float) and not isinstance(entry, bool)):
                raise _bad_toml(
                    "[policy] rehearse", f'"before-switch", "beside" or false is expected, found {str(entry)[:40]!r}'
                )
            continue
        if key == "schema_changes":
            if entry != "any":
                raise _bad_toml(
                    "[policy] schema_changes",
                    f'"any" is expected (by default only users change the schema), found {str(entry)[:40]!r}',
                )
            continue
        if key == "rollback":
            if entry not in ROLLBACK:
                raise _bad_toml(
                    "[policy] rollback", f'"ask", "refuse" or "tell" is expected, found {str(entry)[:40]!r}'
                )
            continue
        if isinstance(entry, bool) != (POLICY[key] == (bool,)) or not isinstance(entry, POLICY[key]):
            raise _bad_toml(f"[policy] {key}", f"a {POLICY[key][0].__name__} is expected, found {_kind(entry)}")
        if key in SECONDS and isinstance(entry, int | float) and not SECONDS[key][0] <= entry <= SECONDS[key][1]:
            raise _bad_toml(
                f"[policy] {key}",
                "a number of seconds from {} to {} is expected, found {}".format(*SECONDS[key], str(entry)[:40]),
            )
        if POLICY[key] == (str,) and entry not in STRICTNESS:
            raise _bad_toml(f"[policy] {key}", f'"error" or "warn" is expected, found {str(entry)[:40]!r}')
