"""The environment and the argv of a dyno, like those of Heroku's Python buildpack. Pure.

Unlike on Heroku there is no PYTHONHOME, and LD_LIBRARY_PATH only if the app sets it: both break other Pythons in the
same dyno.
"""

from __future__ import annotations

from collections.abc import Mapping

ENV_PLACE = "/app/.heroku/python"
ENV_BIN = f"{ENV_PLACE}/bin"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
NODE_BIN = "/app/.heroku/node/bin"
MODULES_BIN = "/app/node_modules/.bin"
"""Programs of Node.js, and those of the app's packages: on the PATH of apps that heroku/nodejs has built."""
BLOCKED = frozenset({"PYTHONHOME", "LD_PRELOAD", "LD_AUDIT"})
"""Config vars that would prevent the interpreter's start; removed from every dyno's environment."""
JOINED = {"LD_LIBRARY_PATH": (f"{ENV_PLACE}/lib", "")}
"""Directory lists beside PATH: (prepended to the app's own config var as on Heroku, appended to it)."""
BUILD_BLOCKED = frozenset(
    {"PATH", "CPATH", "CPPATH", "LD_PRELOAD", "LIBRARY_PATH", "LD_LIBRARY_PATH", "PYTHONHOME", "LD_AUDIT"}
)
"""Config vars that Heroku hides from hooks and collectstatic."""
MB_PER_WORKER = 256
PIPENV = {"PIPENV_SYSTEM": "1", "PIPENV_VERBOSITY": "-1", "VIRTUAL_ENV": ENV_PLACE}
"""For ``pipenv run`` in a Procfile."""

NLTK_DATA = f"{ENV_PLACE}/nltk_data"
PROFILE = (
    f'[ -d {NLTK_DATA} ] && export NLTK_DATA={NLTK_DATA}; case "$DYNO:$WEB_CONCURRENCY_SET_BY" in web.*:heroku/python)'
    ' echo "WEB_CONCURRENCY is $WEB_CONCURRENCY, for $DYNO_RAM MB of memory; config:set WEB_CONCURRENCY=N for another'
    ' number" >&2;; esac; for greenroom_f in "$HOME"/.profile.d/*.sh; do [ -r "$greenroom_f" ] && . "$greenroom_f";'
    ' done; unset greenroom_f; [ -r "$HOME/.profile" ] && . "$HOME/.profile"; exec bash -c "$1"'
)
"""Sets NLTK_DATA if a build downloaded it, prints the number of workers for web dynos, sources the app's profile
scripts, then runs the command (``$1``).

Run by bash inside the dyno, never outside.
"""


def web_concurrency(memory_mb: int, cores: int) -> int:
    """Number of worker processes: one per 256 MB, at most 2 x cores + 1, at least 1."""
    return min(2 * cores + 1, max(1, memory_mb // MB_PER_WORKER))


def command_argv(command: str) -> tuple[str, ...]:
    """The argv of a Procfile's command: tenant shell code, run by the tenant's own shell in its own sandbox.

    bash execs the last command of ``-c``, so that SIGTERM reaches ``cd src && gunicorn ...`` directly.
    """
    return ("bash", "-c", PROFILE, "bash", command)


def search_path(node: bool) -> tuple[str, str]:
    """The directories of PATH before and after those of the app. node: heroku/nodejs has built the app."""
    return (f"{ENV_BIN}:{NODE_BIN}", f"{SYSTEM_PATH}:{MODULES_BIN}") if node else (ENV_BIN, SYSTEM_PATH)


def base_env(*, process: str, memory_mb: int = 512, node: bool = False) -> dict[str, str]:
    """Variables of every dyno, which the app cannot override."""
    return {
        "PATH": ":".join(search_path(node)),
        "HOME": "/app",
        "DYNO": process,
        "DYNO_RAM": str(memory_mb),
        "PYTHONUNBUFFERED": "true",
        "FORWARDED_ALLOW_IPS": "*",
    }


def defaults(*, memory_mb: int = 512, cores: int = 8) -> dict[str, str]:
    """Variables of a dyno that the app can override."""
    return {
        "LANG": "C.UTF-8",
        "PYTHONPATH": "/app",
        "GUNICORN_CMD_ARGS": "--access-logfile -",
        "WEB_CONCURRENCY": str(web_concurrency(memory_mb, cores)),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "NLTK_ALLOW_PROXIED_URLOPEN": "1",
        "TMPDIR": "/tmp",  # noqa: S108 -- inside the dyno, its own folder
    }


def runtime_env(
    *,
    config: Mapping[str, str],
    process: str,
    port: int = 0,
    memory_mb: int = 512,
    cores: int = 8,
    facts: Mapping[str, str] | None = None,
    manager: str = "",
    node: bool = False,
) -> dict[str, str]:
    """The whole environment of a dyno.

    config: the release's config vars; they override defaults, but not PORT, DYNO and HOME; their PATH and
    LD_LIBRARY_PATH follow the platform's.
    port: for web dynos, 0 for all others. facts: HEROKU_* metadata. memory_mb, cores: the dyno's real limits, see
    ``host.capacity``.
    manager: the app's package manager; pipenv stays in the app and must find its environment.
    node: heroku/nodejs has built the app.
    """
    own = {key: value for key, value in config.items() if key not in BLOCKED}
    env = defaults(memory_mb=memory_mb, cores=cores) | (PIPENV if manager == "pipenv" else {})
    env |= ({"NODE_ENV": "production"} if node else {}) | own
    if "WEB_CONCURRENCY" not in own:
        env["WEB_CONCURRENCY_SET_BY"] = "heroku/python"
    env |= dict(facts or {}) | base_env(process=process, memory_mb=memory_mb, node=node) | joined(config, node=node)
    env.pop("PORT", None)
    if port:
        env["PORT"] = str(port)
    return env


def joined(config: Mapping[str, str], *, node: bool = False) -> dict[str, str]:
    """PATH and LD_LIBRARY_PATH with the app's own directories after those of its Python; LD_LIBRARY_PATH only if the
    app sets it.
    """
    found = {}
    for key, (first, last) in {**JOINED, "PATH": search_path(node)}.items():
        if config.get(key):
            folders = [*first.split(":"), *config[key].split(":"), *last.split(":")]
            found[key] = ":".join(dict.fromkeys(folder for folder in folders if folder and folder != "$PATH"))
    return found


def build_env(*, config: Mapping[str, str], commit: str, request_id: str = "", node: bool = False) -> dict[str, str]:
    """The environment of hooks and collectstatic: config vars without Heroku's blocklist, over the build's own.

    request_id: the build's id. node: heroku/nodejs builds the app, too.
    """
    env = {"LANG": "C.UTF-8"} | {key: value for key, value in config.items() if key not in BUILD_BLOCKED}
    return env | {
        "PATH": ":".join(search_path(node)),
        "HOME": "/app",
        "PYTHONUNBUFFERED": "1",
        "DYNO": "build.1",
        "STACK": "greenroom-1",
        "SOURCE_VERSION": commit,
        "REQUEST_ID": request_id,
        "BUILDPACK_LOG_FILE": "/dev/null",
    }
