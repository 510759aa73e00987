"""Tests of the configuration from the environment: errors name the wrong variable."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from django.test import SimpleTestCase

ROOT = Path(__file__).resolve().parent.parent.parent
COMPLETE = {
    "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLM-56789",
    "DATABASE_URL": "sqlite://:memory:",
}
SHOW = (
    "import django; django.setup(); from django.conf import settings as s; "
    "print(s.ALLOWED_HOSTS, s.SESSION_COOKIE_SECURE, s.SECURE_HSTS_SECONDS, "
    "getattr(s, 'SECURE_PROXY_SSL_HEADER', None))"
)


def run(*command: str, **variables: str) -> subprocess.CompletedProcess:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {
        **kept,
        "DJANGO_SETTINGS_MODULE": "payslip.settings",
        "PYTHONDONTWRITEBYTECODE": "1",
        **variables,
    }
    return subprocess.run(  # noqa: S603
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class RefusingToStartTests(SimpleTestCase):
    def test_a_missing_variable_is_named_in_one_line(self):
        for name in COMPLETE:
            rest = {key: value for key, value in COMPLETE.items() if key != name}
            for command in (["manage.py", "check"], ["-c", "import payslip.wsgi"]):
                with self.subTest(name=name, command=command):
                    answer = run(*command, **rest)
                    self.assertNotEqual(answer.returncode, 0)
                    self.assertIn(f"the environment variable {name} is not set", answer.stderr)
                    self.assertNotIn("Traceback", answer.stderr)

    def test_a_senseless_value_is_named_too(self):
        for name, value in (
            ("SECURE", "perhaps"),
            ("HSTS_SECONDS", "long"),
            ("DATABASE_URL", "nonsense"),
        ):
            with self.subTest(name):
                answer = run("manage.py", "check", **{**COMPLETE, name: value})
                self.assertNotEqual(answer.returncode, 0)
                self.assertIn(f"the environment variable {name}", answer.stderr)

    def test_static_files_are_collected_without_any_variable(self):
        with tempfile.TemporaryDirectory() as folder:
            answer = run("manage.py", "collectstatic", "--noinput", STATIC_ROOT=folder)
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertTrue(list(Path(folder).glob("css/base.*.css.gz")))


class SwitchTests(SimpleTestCase):
    def show(self, **variables: str) -> str:
        return run("-c", SHOW, **COMPLETE, **variables).stdout

    def test_without_switches_plain_http_on_localhost_works(self):
        self.assertIn("['.localhost', '127.0.0.1', '[::1]'] False 0 None", self.show())

    def test_hosts_are_added_by_name_and_by_the_name_of_the_app(self):
        shown = self.show(
            ALLOWED_HOSTS="pay.example.org,two.example.org",
            HEROKU_APP_NAME="pay-1",
            HEROKU_APP_DEFAULT_DOMAIN_NAME="pay-1-a1b2.herokuapp.com",
        )
        own = ("pay-1.herokuapp.com", "pay-1-a1b2.herokuapp.com")
        for host in ("pay.example.org", "two.example.org", *own):
            self.assertIn(f"'{host}'", shown)

    def test_one_switch_turns_on_cookies_hsts_and_the_proxy_header(self):
        shown = self.show(SECURE="1")
        self.assertIn("True 31536000 ('HTTP_X_FORWARDED_PROTO', 'https')", shown)

    def test_each_part_can_be_switched_by_itself(self):
        shown = self.show(SECURE="1", HSTS_SECONDS="60", TRUST_PROXY="0", SECURE_COOKIES="0")
        self.assertIn("False 60 None", shown)

    def test_the_deployment_check_is_clean_with_the_production_switch(self):
        answer = run(
            "manage.py", "check", "--deploy", "--fail-level", "WARNING", SECURE="1", **COMPLETE
        )
        self.assertEqual(answer.returncode, 0, answer.stderr)
