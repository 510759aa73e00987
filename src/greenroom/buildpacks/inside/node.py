"""Heroku's Node.js buildpack in the app's own build dyno: installs the packages of package.json, runs its scripts, and
prunes devDependencies. Runs tenant code; the control plane trusts none of its output.
"""

from __future__ import annotations

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
import node_cache
import node_explain

APP = "/app"
BIN = APP + "/.heroku/node/bin"
"""Links to the programs of Node.js, which lie in /usr or in a mount: Heroku's path, the same for both."""
PROGRAMS = ("node", "npm", "npx")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
OWN_VARS = ("NPM_CONFIG_", "YARN_", "PNPM_")
"""Prefixes of config vars that configure a package manager."""
ALWAYS = ("NPM_TOKEN", "NODE_ENV", "NODE_OPTIONS", "NODE_EXTRA_CA_CERTS", "TMPDIR", "LANG", "HOME", "DYNO", "STACK")
QUIET = {
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    "npm_config_progress": "false",
    "npm_config_loglevel": "error",
    "YARN_ENABLE_TELEMETRY": "0",
    "npm_config_manage_package_manager_versions": "false",
    "npm_config_package_import_method": "copy",
    "npm_config_devdir": "/tmp/node-gyp",
    "XDG_CACHE_HOME": "/tmp/xdg/cache",
    "XDG_CONFIG_HOME": "/tmp/xdg/config",
    "XDG_DATA_HOME": "/tmp/xdg/data",
    "XDG_STATE_HOME": "/tmp/xdg/state",
}
"""Settings of npm, yarn and pnpm: nothing is written to the app's folder but node_modules."""
PR_SET_DUMPABLE = 4


class Build:
    """One run of the buildpack. wish: ``job["node"]``: {programs, version, manager, lock, tool, generation, build,
    listed, settings, lines}.
    """

    def __init__(self, job, timer):
        self.wish, self.timer = job["node"], timer
        self.manager = self.wish["manager"]
        self.node_env = os.environ.get("NODE_ENV") or "production"
        self.cache = node_cache.Cache(self.wish)
        self.tools = ""

    def scripts_env(self):
        """The environment of the app's own scripts: all config vars, as hooks have."""
        env = {**QUIET, **os.environ, **self.cache.variables(), "NODE_ENV": self.node_env}
        return dict(env, PATH=self.path(env))

    def installer_env(self):
        """The environment of a package manager: of the config vars only its own, NPM_TOKEN and those on the app's
        list. The operator's settings are overridden by the app's.
        """
        kept = {
            key: value
            for key, value in os.environ.items()
            if key in (*ALWAYS, *self.wish["listed"]) or key.upper().startswith((*OWN_VARS, *PROXIES))
        }
        kept = {key: value for key, value in kept.items() if key.upper() != "NPM_CONFIG_PRODUCTION"}
        env = {**QUIET, **self.wish["settings"], **kept, **self.cache.variables(), "NODE_ENV": self.node_env}
        return dict(env, PATH=self.path(os.environ))

    def path(self, env):
        """PATH with the programs of Node.js, of the package manager, and of the app's packages."""
        first = [APP + "/node_modules/.bin", BIN, *([self.tools] if self.tools else [])]
        return ":".join([*first, env.get("PATH", "/usr/local/bin:/usr/bin:/bin")])

    def argv(self, *words):
        """The package manager's command."""
        folder = self.tools or BIN
        return [os.path.join(folder, self.manager), *words]


def work(job, timer):
    """All steps of the buildpack, in Heroku's order."""
    build = Build(job, timer)
    common.step("Node.js app detected")
    link(build.wish["programs"])
    announce(build)
    script(build, "heroku-prebuild", "Prebuild")
    package = read_package()  # the script may have changed it
    install(build, package)
    wanted = package.get("scripts") or {}
    script(build, "heroku-postbuild" if "heroku-postbuild" in wanted else "build", "Build")
    prune(build, package)
    script(build, "heroku-cleanup", "Cleanup")
    common.step("Build succeeded!")


def link(programs):
    """Links to the programs at Heroku's path. programs: their folder."""
    shutil.rmtree(BIN, ignore_errors=True)
    os.makedirs(BIN)
    for name in PROGRAMS:
        os.symlink(os.path.join(programs, name), os.path.join(BIN, name))


def read_package():
    """package.json, as far as it is an object; the plan has reported other faults."""
    try:
        with open(APP + "/package.json", encoding="utf-8-sig") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise common.Failed("nodejs::invalid-package-json", "package.json is not a JSON object.", "npm pkg fix")
    return found


def announce(build):
    """Print the versions and the settings, and fetch yarn or pnpm."""
    common.step("Creating runtime environment")
    common.detail("NODE_ENV=" + build.node_env)
    common.step("Installing binaries")
    common.detail("\n".join(build.wish["lines"]))
    if build.wish["tool"]:
        fetch_tool(build)


def fetch_tool(build):
    """Install yarn or pnpm with npm, at the pinned version and with its hash, into the app's own cache."""
    name, version, integrity = (build.wish["tool"][key] for key in ("name", "version", "integrity"))
    folder = build.cache.folder("tools", "%s-%s" % (name, version))
    programs = os.path.join(folder, "node_modules", ".bin")
    if not os.path.exists(os.path.join(programs, name)):
        common.detail("Installing %s %s" % (name, version))
        entry = {"version": version, "integrity": integrity, "bin": {name: "bin/%s.%s" % (name, _suffix(name))}}
        package = {"name": "tool", "version": "1.0.0", "dependencies": {name: version}}
        lock = {**package, "lockfileVersion": 3, "packages": {"": package, "node_modules/" + name: entry}}
        os.makedirs(folder, exist_ok=True)
        for path, value in (("package.json", package), ("package-lock.json", lock)):
            with open(os.path.join(folder, path), "w") as file:
                json.dump(value, file)
        argv = [os.path.join(BIN, "npm"), "ci", "--ignore-scripts"]
        code, tail = common.run(argv, build.installer_env(), folder)
        if code:
            raise common.Failed("nodejs::package-manager", *node_explain.installer(name, "\n".join(tail), code))
    build.tools = programs


def _suffix(name):
    return "js" if name == "yarn" else "cjs"


def script(build, name, title):
    """Run one script of package.json, if it has it, with all config vars."""
    text = (read_package().get("scripts") or {}).get(name)
    if not text:
        return
    common.step(title)
    common.detail("Running " + name)
    with build.timer("node_" + name.replace("-", "_")):
        code, tail = common.run(build.argv("run", name), build.scripts_env(), APP, hide=("$ ", "> "))
    if code:
        raise common.Failed("nodejs::script", *node_explain.script(name, "\n".join(tail), code))


def install(build, package):
    """Install the packages, or take those that the app's last build with the same files installed."""
    key = build.cache.key(package, build.node_env)
    if key and build.cache.restore(key):
        common.step("Restoring cache")
        common.detail("- node_modules")
        common.step("Installing dependencies")
        common.detail("node_modules is up to date: %s has not changed" % build.wish["lock"])
        return
    common.step("Installing dependencies")
    words = _install_words(build)
    common.detail("Installing node modules (%s %s)" % (build.manager, " ".join(words[:1])))
    with build.timer("node_install"), Hidden():
        code, tail = common.run(build.argv(*words), dict(build.installer_env(), CI="true"), APP)
    if code:
        reason = "install-dependencies::" + build.manager
        raise common.Failed(reason, *node_explain.installer(build.manager, "\n".join(tail), code))
    if key:
        common.step("Caching build")
        common.detail("- node_modules")
        build.cache.save(key)


def _install_words(build):
    """The arguments of the installation. As on Heroku, devDependencies are installed unless NPM_CONFIG_PRODUCTION
    (YARN_PRODUCTION) is true.
    """
    frozen, production = bool(build.wish["lock"]), node_cache.production(build.manager)
    if build.manager == "yarn":
        flag = "--production=%s" % ("true" if production else "false")
        return ["install", flag, *(["--frozen-lockfile"] if frozen else ["--no-lockfile"]), "--ignore-engines",
                "--non-interactive", "--no-progress"]  # fmt: skip
    if build.manager == "pnpm":
        flag = "--prod" if production else "--prod=false"
        return ["install", flag, "--frozen-lockfile" if frozen else "--no-lockfile", "--reporter=append-only"]
    flag = "--omit=dev" if production else "--include=dev"
    if frozen and os.environ.get("USE_NPM_INSTALL", "").lower() != "true":
        return ["ci", flag]
    return ["install", flag, *([] if frozen else ["--no-package-lock"])]


def prune(build, package):
    """Remove devDependencies, under Heroku's conditions."""
    if not package.get("devDependencies"):
        return
    common.step("Pruning devDependencies")
    variable, value = node_cache.production_variable(build.manager)
    if build.node_env != "production":
        common.detail("Skipping because NODE_ENV is not 'production'")
        return
    if value:
        common.detail("Skipping because %s is '%s'" % (variable, value))
        return
    words = {
        "npm": ["prune", "--omit=dev", "--ignore-scripts"],
        "yarn": ["install", "--production=true", "--ignore-scripts", "--ignore-engines", "--prefer-offline",
                 "--non-interactive", "--no-progress", "--frozen-lockfile" if build.wish["lock"] else "--no-lockfile"],
        "pnpm": ["prune", "--prod", "--ignore-scripts"],
    }[build.manager]  # fmt: skip
    with build.timer("node_prune"), Hidden():
        code, tail = common.run(build.argv(*words), dict(build.installer_env(), CI="true"), APP)
    if code:
        raise common.Failed("nodejs::prune", *node_explain.installer(build.manager, "\n".join(tail), code))


class Hidden:
    """While it lasts, other processes of this user cannot read the environment of this one, which has all config vars:
    install scripts of packages run beside it.
    """

    def __enter__(self):
        self._dumpable(0)

    def __exit__(self, *_):
        self._dumpable(1)

    def _dumpable(self, value):
        try:
            import ctypes
        except ImportError:  # a Python without ctypes
            return
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, value, 0, 0, 0)
