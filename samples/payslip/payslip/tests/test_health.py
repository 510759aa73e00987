"""Tests of the platform's health checks."""

from unittest import mock

from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.test import SimpleTestCase, TestCase, override_settings


class HealthzTests(SimpleTestCase):
    def test_it_answers_without_a_database(self):
        self.assertEqual(self.client.get("/healthz").content, b"ok\n")

    def test_it_answers_under_any_name_below_localhost(self):
        answer = self.client.get("/healthz", headers={"host": "ach-payslip-staging.localhost:8080"})
        self.assertEqual(answer.status_code, 200)

    def test_a_name_that_is_not_ours_is_refused(self):
        self.assertEqual(
            self.client.get("/healthz", headers={"host": "evil.example"}).status_code, 400
        )

    @override_settings(SECURE_SSL_REDIRECT=True)
    def test_it_is_not_redirected_to_https(self):
        self.assertEqual(self.client.get("/healthz").status_code, 200)
        self.assertEqual(self.client.get("/sign-in/").status_code, 301)


class ReadyzTests(TestCase):
    def test_it_answers_once_the_tables_are_there(self):
        self.assertEqual(self.client.get("/readyz").content, b"ready\n")

    def test_it_says_when_the_database_does_not_answer(self):
        broken = mock.patch(
            "payslip.health.connection.cursor", side_effect=OperationalError("gone")
        )
        with broken, self.assertLogs("payslip.health", "WARNING"):
            answer = self.client.get("/readyz")
        self.assertContains(answer, "the database does not answer", status_code=503)

    def test_it_says_when_migrations_of_this_release_are_missing(self):
        latest = MigrationLoader(connection).graph.leaf_nodes("payroll")[0]
        MigrationRecorder(connection).record_unapplied(*latest)
        answer = self.client.get("/readyz")
        self.assertContains(answer, "migrations to apply: 1", status_code=503)


class CsrfTests(TestCase):
    def test_a_form_is_accepted_over_http_on_a_host_with_a_port(self):
        from django.test import Client

        browser = Client(enforce_csrf_checks=True)
        for host in ("ach-payslip-staging.localhost:8080", "ach-payslip-staging.localhost"):
            with self.subTest(f"the proxy hands on {host}"):
                page = browser.get("/sign-in/", headers={"host": host})
                answer = browser.post(
                    "/sign-in/",
                    {
                        "csrfmiddlewaretoken": page.context["csrf_token"],
                        "username": "who",
                        "password": "what",
                    },
                    headers={
                        "host": host,
                        "origin": "http://ach-payslip-staging.localhost:8080",
                    },
                )
                self.assertContains(answer, "Please enter a correct username")
