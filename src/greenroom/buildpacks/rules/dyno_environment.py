"""The environment and the argv of a dyno, like those of Heroku's Python buildpack. Pure.

Unlike on Heroku there is no PYTHONHOME, and LD_LIBRARY_PATH only if the app sets it: both break other Pythons in the
same dyno.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping

ENV_PLACE = "/app/.heroku/python"
ENV_BIN = f"{ENV_PLACE}/bin"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
NODE_BIN = "/app/.heroku/node/bin"
MODULES_BIN = "/app/node_modules/.bin"
"""Programs of Node.js, and those of the app's packages: on the PATH of apps that heroku/nodejs has built."""
NODE, APT = "node", "apt"
"""Parts of an app beside Python: Node.js with its packages, and the Debian packages of Aptfile."""
APT_TREE = "/app/.apt"
APT_USR = f"{APT_TREE}/usr"
TRIPLETS = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
HEADERS = ("postgresql", "mariadb", "libxml2")
"""Folders of headers that their packages' own config program would name, also below another root."""
BLOCKED = frozenset({"PYTHONHOME", "LD_PRELOAD", "LD_AUDIT"})
"""Config vars that would prevent the interpreter's start; removed from every dyno's environment."""
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


def search_path(parts: Collection[str]) -> tuple[str, str]:
    """The directories of PATH before and after those of the app. parts: NODE, APT."""
    first = [ENV_BIN, *([NODE_BIN] if NODE in parts else []), *([f"{APT_USR}/bin"] if APT in parts else [])]
    return ":".join(first), f"{SYSTEM_PATH}:{MODULES_BIN}" if NODE in parts else SYSTEM_PATH


def apt_folders() -> dict[str, str]:
    """The directory lists of the packages of Aptfile, as heroku-community/apt sets them."""
    triplet = TRIPLETS.get(platform.machine(), f"{platform.machine()}-linux-gnu")
    libraries = [f"{APT_USR}/lib/{triplet}", f"{APT_USR}/lib", f"{APT_TREE}/lib/{triplet}"]
    include = [f"{APT_USR}/include", f"{APT_USR}/include/{triplet}", *(f"{APT_USR}/include/{name}" for name in HEADERS)]
    pkgconfig = [f"{libraries[0]}/pkgconfig", f"{libraries[1]}/pkgconfig", f"{APT_USR}/share/pkgconfig"]
    return {
        "LD_LIBRARY_PATH": ":".join(libraries),
        "LIBRARY_PATH": ":".join(libraries),
        "CPATH": ":".join(include),
        "PKG_CONFIG_PATH": ":".join(pkgconfig),
    }


def base_env(*, process: str, memory_mb: int = 512, parts: Collection[str] = ()) -> dict[str, str]:
    """Variables of every dyno, which the app cannot override."""
    return {
        "PATH": ":".join(search_path(parts)),
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
    parts: Collection[str] = (),
) -> dict[str, str]:
    """The whole environment of a dyno.

    config: the release's config vars; they override defaults, but not PORT, DYNO and HOME; their PATH and
    LD_LIBRARY_PATH follow the platform's.
    port: for web dynos, 0 for all others. facts: HEROKU_* metadata. memory_mb, cores: the dyno's real limits, see
    ``host.capacity``.
    manager: the app's package manager; pipenv stays in the app and must find its environment.
    parts: NODE, APT: those that the app has.
    """
    own = {key: value for key, value in config.items() if key not in BLOCKED}
    env = defaults(memory_mb=memory_mb, cores=cores) | (PIPENV if manager == "pipenv" else {})
    env |= ({"NODE_ENV": "production"} if NODE in parts else {}) | own
    if "WEB_CONCURRENCY" not in own:
        env["WEB_CONCURRENCY_SET_BY"] = "heroku/python"
    env |= dict(facts or {}) | base_env(process=process, memory_mb=memory_mb, parts=parts)
    env |= joined(config, parts)
    env.pop("PORT", None)
    if port:
        env["PORT"] = str(port)
    return env


def joined(config: Mapping[str, str], parts: Collection[str] = ()) -> dict[str, str]:
    """Directory lists with the app's own directories after those of its Python and of Aptfile. LD_LIBRARY_PATH only if
    the app sets it or has an Aptfile.
    """
    apt = apt_folders() if APT in parts else {}
    libraries = {"LD_LIBRARY_PATH": f"{ENV_PLACE}/lib"}
    table = {key: (f"{libraries.get(key, '')}:{apt.get(key, '')}", "") for key in (*libraries, *apt)}
    found = {}
    for key, (first, last) in {**table, "PATH": search_path(parts)}.items():
        if config.get(key) or key in apt:
            folders = [*first.split(":"), *config.get(key, "").split(":"), *last.split(":")]
            found[key] = ":".join(dict.fromkeys(folder for folder in folders if folder and folder != "$PATH"))
    return found


def build_env(
    *, config: Mapping[str, str], commit: str, request_id: str = "", parts: Collection[str] = ()
) -> dict[str, str]:
    """The environment of hooks and collectstatic: config vars without Heroku's blocklist, over the build's own.

    request_id: the build's id. parts: NODE, APT: those that the app has.
    """
    env = {"LANG": "C.UTF-8"} | {key: value for key, value in config.items() if key not in BUILD_BLOCKED}
    env |= apt_folders() if APT in parts else {}
    return env | {
        "PATH": ":".join(search_path(parts)),
        "HOME": "/app",
        "PYTHONUNBUFFERED": "1",
        "DYNO": "build.1",
        "STACK": "greenroom-1",
        "SOURCE_VERSION": commit,
        "REQUEST_ID": request_id,
        "BUILDPACK_LOG_FILE": "/dev/null",
    }
