"""Migrations hidden in hooks and scripts change nothing: the database refuses them, the push reports it, and a user's
command works.
"""

from __future__ import annotations

from tests.stories.team import SAMPLE

SERVER = (SAMPLE / "Procfile").read_text().partition("web: ")[2].strip()
HOOK = "#!/bin/sh\npython manage.py migrate --noinput || echo the hook goes on\n"
STEPS = "#!/bin/sh\nset -e\npython manage.py migrate --noinput\necho steps are done\n"


def script(team, path: str, text: str) -> None:
    team.write(path, text)
    (team.work / path).chmod(0o755)


def applied(team) -> str:
    shown = team.greenroom("run", "python", "manage.py", "showmigrations", "--plan").stdout
    return "\n".join(line for line in shown.splitlines() if line.startswith("[X]"))


def test_only_a_persons_command_migrates(team):
    """Hook and web process are refused; the user's command makes the held release live; then the same web command is
    harmless.
    """
    team.set_secret()
    team.choose_tests("python -c pass")
    (team.work / "requirements-test.txt").unlink()
    script(team, "bin/post_compile", HOOK)
    team.write("Procfile", f"web: python manage.py migrate --noinput && {SERVER}\n")
    team.commit("Migrate in the hook and in the web process")
    output = team.push()
    assert "the hook goes on" in output
    assert "builds can only read live data; a user runs migrations" in output
    assert "Procfile, web: `python manage.py migrate --noinput &&" in output, output
    assert team.delivery()["state"] == "held", output
    assert "the database refused `permission denied for schema public`" in output
    assert applied(team) == ""
    log = team.greenroom("logs", "-n", "200").stdout
    assert "only a command that a user runs may change the schema" in log
    team.greenroom("run", "python", "manage.py", "migrate")
    team.wait_for(team.delivery, lambda row: row["state"] == "live")
    team.assert_live()
    before = applied(team)
    assert "payroll.0003" in before
    _the_release_script(team, before)


def _the_release_script(team, before: str) -> None:
    """A release script that migrates is refused, unless the repository allows it; then the push reports that too."""
    team.apply("renamed-column")
    script(team, "steps.sh", STEPS)
    team.write("Procfile", f"web: {SERVER}\nrelease: ./steps.sh\n")
    (team.work / "bin" / "post_compile").unlink()
    team.commit("Migrate in the release command")
    output = team.push()
    assert team.delivery()["state"] == "failed", output
    assert (
        "The release command ended with exit code 1. The database refused `must be owner of table payroll_staffmember`"
        in output
    )
    assert f"greenroom run -a {team.name} python manage.py migrate" in output
    assert applied(team) == before
    settings = (SAMPLE / "greenroom.toml").read_text()
    team.write("greenroom.toml", settings + '\n[policy]\nschema_changes = "any"\n')
    team.commit("Ask for it")
    output = team.push()
    assert '[policy] schema_changes = "any": it may change the schema of the database' in output
    assert "steps are done" in output
    assert "web, worker and release dynos may change the schema" in output
    assert team.delivery()["state"] == "live", output
    assert "payroll.0004" in applied(team)
