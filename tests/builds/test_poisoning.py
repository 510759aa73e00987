"""An app's code cannot reach other apps through shared parts of builds: the cache of wheels, bytecode, environments,
resolved requirements, tools.

docs/reference/shared-paths.md lists the paths. This module tests each row of it.
"""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

import pytest

from greenroom.buildpacks.inside import bytecode, verify
from greenroom.buildpacks.rules import plan
from greenroom.builds.drivers import cache_budget, dyno_specs, environments
from greenroom.builds.rules import shared_packages
from greenroom.engine import names
from greenroom.engine.contract import PLATFORM
from greenroom.slugs.queries import mounts
from tests.builds.hosting import ADDED, BASE, SIX, Workshop, overlay, pip_files, poetry_files, printed, uv_files

pytestmark = pytest.mark.django_db(transaction=True)
PLANT = "import sys; sys.stderr.write('POISONED' + chr(10))"
SPREAD = f"""for d in /greenroom/cache/*/archive-v*/*/; do
  [ -f "$d/typing_extensions.py" ] && echo "{PLANT}" > "$d/zz_evil.pth"
done
echo x > /greenroom/cache/PWNED.txt; echo x > /greenroom/cache/uv/PWNED.txt"""
"""The attack as reported: each wheel that contains typing_extensions gets a file that every start of Python executes.
"""
HOOK = f"""#!/bin/bash
P=/app/.heroku/python; R=$(readlink -f $P/bin/python3); rm -f $P/bin/python
cat >$P/bin/python <<X
#!/bin/bash
{SPREAD.replace("$d", chr(92) + "$d")}
exec -a $P/bin/python $R "\\$@"
X
chmod +x $P/bin/python; chmod 2775 $P $P/bin
"""
TYPING = "typing_extensions==4.15.0"


@pytest.fixture
def attacker(cafe, machine):
    return Workshop(cafe, machine)


@pytest.fixture
def started(machine, monkeypatch):
    """Specs of all dynos that are started."""
    found = []
    start = machine.engine.start

    def keep(spec):
        found.append(spec)
        return start(spec)

    monkeypatch.setattr(machine.engine, "start", keep)
    return found


def poisoned(workshop):
    """Files of the attack below the home's shared folders."""
    shared = [path for path in (workshop.home / "cache").iterdir() if path.name != "apps"]
    return [path for folder in shared for path in folder.rglob("*") if path.name in ("zz_evil.pth", "PWNED.txt")]


def archives(workshop, name):
    """This file in the unpacked wheels of the shared cache."""
    return list((workshop.home / cache_budget.SHARED / "uv").glob(f"archive-v*/*/{name}"))


def clean(workshop, build):
    return (
        printed(workshop, mounts(build.slug), "python", "-c", "import typing_extensions; print('clean')") == "clean\n"
    )


def test_a_hook_that_replaces_python_poisons_no_other_apps_packages(workshop, attacker):
    workshop.built({**BASE, **pip_files(TYPING)})
    files = {**BASE, **pip_files(ADDED), "requirements-test.txt": f"{SIX}\n", "bin/post_compile": HOOK}
    found = overlay(attacker, attacker.built(files))
    assert found.status == "ready", attacker.text
    assert archives(attacker, "typing_extensions.py")
    assert not poisoned(workshop)
    assert clean(workshop, workshop.built({**BASE, **pip_files(TYPING, "certifi")}))


def emptied(workshop):
    """Wait until the shared cache has been emptied."""
    end = time.monotonic() + 60
    while [state for state in workshop.machine.engine.list() if state.id.startswith("janitor-") and not state.ended]:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("idna", "how"), [("3.7", "a file more"), ("3.8", "a file and its record"), ("3.10", "a file instead")]
)
def test_what_was_changed_in_the_shared_cache_is_installed_for_nobody(workshop, idna, how):
    wanted = (TYPING, f"idna=={idna}")
    workshop.built({**BASE, **pip_files(*wanted)})
    changed = archives(workshop, "typing_extensions.py")
    assert changed
    for path in changed:
        planted = path.with_name("zz_evil.pth")
        if how == "a file instead":
            path.write_text(f"{PLANT}\n{path.read_text()}")
            continue
        planted.write_text(PLANT)
        if how == "a file and its record":
            record = next(path.parent.glob("*.dist-info/RECORD"))
            record.write_text(f"{record.read_text()}zz_evil.pth,sha256={environments._sha256(planted)},{len(PLANT)}\n")
    build = workshop.built({**BASE, **pip_files(*wanted, "certifi==2025.8.3")})
    assert "created for this app only" in workshop.text
    assert clean(workshop, build)
    assert not list((workshop.home / build.slug.env_folder).rglob("zz_evil.pth"))
    emptied(workshop)
    assert not archives(workshop, "typing_extensions.py")


def test_no_dyno_that_writes_what_others_use_gets_anything_of_an_app(workshop, started):
    workshop.config = {"SECRET_OF_THE_APP": "s3cret-of-the-app"}
    builds = [
        {**pip_files(TYPING, ADDED), "requirements-test.txt": f"{SIX}\n"},
        {**uv_files(SIX), "uv.toml": "# not read\n"},
        {**poetry_files(SIX, dev=ADDED)},
        {**pip_files(SIX), "bin/pre_compile": "#!/bin/sh\n:\n", "bin/post_compile": "#!/bin/sh\n:\n"},
    ]
    for files in builds:
        overlay(workshop, workshop.built({**BASE, **files}))
    own = workshop.app.id.hex
    shared = [spec for spec in started if spec.owner == PLATFORM]
    assert {spec.kind for spec in shared} == {"install"}
    for spec in shared:
        job = json.loads(spec.stdin)
        assert (job["files"], job["local"], job["no_build"], job["shared"]) == ({}, False, True, True)
        assert shared_packages.pinned_text(job["lock"]) is not None
        assert not [
            mount
            for mount in spec.mounts
            if mount.lower or mount.source.startswith(("slug:", "source:", "env:", f"cache:{own}"))
        ]
        assert not spec.forwards
        assert "s3cret-of-the-app" not in repr(spec)
    for spec in started:
        written = {mount.source for mount in spec.mounts if mount.mode == "rw"} | {mount.upper for mount in spec.mounts}
        allowed = dyno_specs.SHARED_CACHE if spec.owner == PLATFORM else names.cache(own, "build")
        assert not [
            source for source in written if source and not source.startswith("scratch:") and source != allowed
        ], spec.id
        assert not any(mount.source == dyno_specs.SHARED_CACHE for mount in spec.mounts if spec.owner != PLATFORM), (
            spec.id
        )
        assert spec.owner in (PLATFORM, own)
    assert any("requirements-test.txt" in spec.stdin.decode() for spec in started if spec.owner == own)


def test_code_of_an_app_finds_no_shared_path_to_write_to(workshop):
    """Tried by a package built for the slug, by one built for the tests, by a hook, and by a running dyno."""
    tops = ["/greenroom", str(workshop.home), str(workshop.home / cache_budget.SHARED), str(workshop.home / "envs")]
    attempt = (
        "import os\nwrote = []\n"
        f"for top in {tops!r}:\n"
        "    for folder, _, names in os.walk(top):\n"
        "        for path in [folder + '/PWNED.txt', *(folder + '/' + name for name in names)]:\n"
        "            try:\n"
        "                open(path, 'ab').close()\n"
        "                wrote.append(path)\n"
        "            except OSError:\n"
        "                pass\n"
        "found = sorted({'/'.join(path.split('/')[:3]) for path in wrote})\n"
    )
    setup = (
        attempt + "import setuptools\nraise SystemExit('FOUND' + repr(found)) if FAIL else setuptools.setup(name='spy',"
        " version='1')\n"
    )
    expected = "FOUND['/greenroom/cache', '/greenroom/out']"
    failing = {**BASE, "requirements.txt": "./spy\n", "spy/setup.py": setup.replace("FAIL", "True")}
    build = workshop.build(failing)
    assert expected in workshop.text + build.failure_message
    hook = f"#!/app/.heroku/python/bin/python\n{attempt}print('FOUND' + repr(found))\n"
    tests = {"requirements-test.txt": "./spy\n", "spy/setup.py": setup.replace("FAIL", "True")}
    build = workshop.built({**BASE, **pip_files(SIX), **tests, "bin/post_compile": hook})
    assert expected in workshop.text
    found = overlay(workshop, build)
    assert found.status == "failed"
    assert expected in workshop.text + found.message
    assert printed(workshop, mounts(build.slug), "python", "-c", f"{attempt}print(found)") == "[]\n"
    assert not poisoned(workshop)


def test_a_config_var_that_changes_during_a_build_puts_no_private_environment_in_a_shared_place(workshop, attacker):
    shared = workshop.built({**BASE, **pip_files(SIX)})
    attacker.config = {"PIP_EXTRA_INDEX_URL": f"https://pypi.{'org'}/simple"}
    build = attacker.start({**BASE, **pip_files(SIX)})
    while not any(
        state.id.endswith("-sources") for state in attacker.machine.engine.list() if build.id.hex in state.id
    ):
        attacker.step(build)
        assert build.status == "pending", attacker.text
    attacker.config = {}
    assert attacker.finish(build).status == "succeeded", attacker.text
    assert build.slug.env_key != shared.slug.env_key
    assert attacker.built({**BASE, **pip_files(SIX)}).slug.env_key == shared.slug.env_key


def test_names_of_private_and_shared_environments_never_meet(workshop):
    python = plan.Interpreter((3, 12, 1), "/usr/bin/python3.12", "")
    one = plan.environment_key(python, "shared", "", "six==1.16.0 --hash=sha256:" + "0" * 64)
    assert one != plan.environment_key(python, "shared", "six==1.16.0 --hash=sha256:" + "0" * 64)
    assert one != plan.environment_key(python, "shared\0", "six==1.16.0 --hash=sha256:" + "0" * 64)
    assert one != plan.environment_key(python, "app", "", "six==1.16.0 --hash=sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "line",
    [
        "six",
        "six==1.*",
        "six>=1",
        "six @ https://evil.example/six-1-py3-none-any.whl",
        "six==1.16.0",
        "--index-url https://evil.example",
        "-e .",
        "./six",
        "six==${V} --hash=sha256:" + "0" * 64,
        "-r https://evil.example/x.txt",
        "--find-links /app",
        "-c other.txt",
    ],
)
def test_only_pinned_packages_with_hashes_may_be_shared(workshop, line):
    good = "django==5.2 ; python_version >= '3.10' --hash=sha256:" + "a" * 64
    assert shared_packages.pinned_text(f"{good}\n") == (good,)
    assert shared_packages.pinned_text(f"{good}\n{line}\n") is None


def test_a_lock_of_another_index_is_not_shared(workshop):
    public = "https://pypi.example/simple/"
    assert shared_packages.only_default_index([public], {})
    assert not shared_packages.only_default_index([public, "https://evil.example/simple"], {})
    settings = {"UV_DEFAULT_INDEX": "https://u:p@mirror.example/simple", "UV_INDEX": "own=https://own.example/simple"}
    assert shared_packages.only_default_index(
        [public, "https://mirror.example/simple", "https://own.example/simple"], settings
    )


def test_bytecode_that_the_platform_did_not_seal_is_not_used(workshop, tmp_path):
    source, cache = tmp_path / "lib" / "m.py", tmp_path / "cache"
    source.parent.mkdir()
    source.write_text("x = 1\n")

    def compiled(seal):
        bytecode.wait(bytecode.compile_all(str(source.parent), bytecode.UNCHECKED, cache=str(cache), seal=seal))
        return next((source.parent / "__pycache__").glob("*.pyc")).read_bytes()

    good = compiled("aa")
    kept = next(path for path in cache.rglob("*") if path.is_file())
    evil = bytecode._pyc(str(source), b"x = 2\n", bytecode.UNCHECKED)
    for forged in (evil, b"0" * 32 + evil, bytecode._tag(str(kept), evil, b"") + evil):
        kept.write_bytes(forged)
        assert compiled("aa") == good
    assert kept.read_bytes()[32:] == good


@pytest.mark.parametrize(
    ("row", "files", "why"),
    [
        ("", {}, ""),
        ("", {"lib/python3.12/site-packages/x.pth": "import os"}, "belongs to no package"),
        ("../../../bin/python,sha256=HASH,1", {"bin/python": "x"}, "was replaced"),
        ("../../../bin/tool,sha256=HASH,1", {"bin/tool": "y"}, "differs from its package's list"),
        ("../../../bin/tool,sha256=HASH,1", {}, "differs from its package's list"),
        ("../../../../outside.py,sha256=HASH,1", {"../outside.py": "x"}, "lies outside"),
        ("../../../bin/tool,sha256=HASH,1", {"bin/tool": "x"}, ""),
    ],
)
def test_a_shared_environment_holds_what_its_packages_list_and_nothing_else(tmp_path, row, files, why):
    folder, digest = tmp_path / "env", "LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE"
    site = folder / "lib/python3.12/site-packages"
    for name, text in {"bin/python": "python", "pyvenv.cfg": ""}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    empty = verify.tree(folder)
    (site / "p-1.dist-info").mkdir(parents=True)
    (site / "p.py").write_text("x")
    (site / "p-1.dist-info" / "RECORD").write_text(
        f"p.py,sha256={digest},1\np-1.dist-info/RECORD,,\n{row.replace('HASH', digest)}\n"
    )
    for name, text in files.items():
        (folder / name).write_text(text)
    with pytest.raises(verify.common.Failed, match=f"{why}$") if why else contextlib.nullcontext() as raised:
        verify.check(str(folder), empty)
    assert not why or raised.value.code == verify.common.DOUBT


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (["tests/__init__.py,sha256=HASH,1", "tests/__init__.py,sha256=HASH,1"], None),
        (["tests/__init__.py,sha256=HASH,1", "tests/__init__.py,sha256=OTHER,1"], verify.common.CONFLICT),
        (["tests/__init__.py,,"], verify.common.CONFLICT),
    ],
)
def test_packages_that_write_the_same_file_are_no_tampering(tmp_path, rows, code):
    site, digest = tmp_path / "env/lib/python3.12/site-packages", "LXEWQrcmsEQBYnyp-6wy9chTD7GQPMTbAiWHF5IaSIE"
    (site / "tests").mkdir(parents=True)
    (site / "tests/__init__.py").write_text("x")
    for number, row in enumerate(rows):
        info = site / f"p{number}-1.dist-info"
        info.mkdir()
        (info / "RECORD").write_text(f"{info.name}/RECORD,,\n{row.replace('HASH', digest)}\n")
    with pytest.raises(verify.common.Failed) if code else contextlib.nullcontext() as raised:
        verify.check(str(tmp_path / "env"), {})
    assert not code or raised.value.code == code


def test_a_resolution_is_kept_for_its_app_alone(workshop):
    one, two = (environments.lock_path(Path("/h"), app, "d") for app in ("a" * 32, "b" * 32))
    assert one != two
