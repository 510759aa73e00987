"""Tests of sign-in, sign-out and password reset."""

import re

from django.core import mail
from django.test import SimpleTestCase, TestCase
from django.urls import reverse

from payroll.tests.helpers import make_user


class BeforeMigrationsTests(SimpleTestCase):
    """A SimpleTestCase fails on any query, so these tests prove that there is none."""

    def test_the_sign_in_page_opens_before_any_migration_ran(self):
        self.assertContains(self.client.get(reverse("sign-in")), "Forgot your password?")

    def test_the_page_for_a_forgotten_password_opens_too(self):
        self.assertEqual(self.client.get(reverse("password_reset")).status_code, 200)


class SigningInTests(TestCase):
    def setUp(self):
        self.user = make_user("sina", first_name="Sina")

    def sign_in(self, **changes):
        data = {"username": "sina", "password": "flying-low-4", **changes}
        return self.client.post(reverse("sign-in"), data, follow=True)

    def test_the_right_password_leads_to_the_dashboard(self):
        self.assertContains(self.sign_in(), "Good to see you, Sina")

    def test_a_wrong_password_is_told_without_saying_which_part_is_wrong(self):
        answer = self.sign_in(password="nonsense")  # noqa: S106
        self.assertContains(answer, "Please enter a correct username and password")

    def test_after_signing_in_one_comes_to_the_page_one_asked_for(self):
        answer = self.sign_in(next=reverse("my-payslips"))
        self.assertRedirects(answer, reverse("my-payslips"))

    def test_another_site_is_no_place_to_go_to(self):
        answer = self.sign_in(next="https://elsewhere.example/")
        self.assertRedirects(answer, reverse("dashboard"))

    def test_signing_out_ends_the_session(self):
        self.sign_in()
        self.assertRedirects(self.client.post(reverse("sign-out")), reverse("sign-in"))
        self.assertEqual(self.client.get("/").status_code, 302)

    def test_pages_are_kept_out_of_caches_and_run_nothing_inline(self):
        answer = self.sign_in()
        self.assertEqual(answer["Cache-Control"], "no-store")
        self.assertIn("script-src 'self'", answer["Content-Security-Policy"])
        self.assertNotRegex(answer.content.decode(), r"<script|<style|\sstyle=|\son\w+=")


class PasswordTests(TestCase):
    def setUp(self):
        self.user = make_user("sina")

    def test_a_forgotten_password_is_set_anew_by_a_link_in_a_mail(self):
        self.client.post(reverse("password_reset"), {"email": "sina@example.org"})
        link = re.search(r"http://testserver(/\S+)", mail.outbox[0].body).group(1)
        form = self.client.get(link, follow=True).request["PATH_INFO"]
        new = {"new_password1": "cumulus-nimbus-9", "new_password2": "cumulus-nimbus-9"}
        self.assertRedirects(self.client.post(form, new), reverse("password_reset_complete"))
        self.assertTrue(self.client.login(username="sina", password="cumulus-nimbus-9"))  # noqa: S106
        self.assertContains(self.client.get(link, follow=True), "was used already")

    def test_an_unknown_address_gets_no_mail_and_the_same_answer(self):
        answer = self.client.post(reverse("password_reset"), {"email": "who@example.org"})
        self.assertRedirects(answer, reverse("password_reset_done"))
        self.assertEqual(mail.outbox, [])

    def test_a_password_is_changed_by_whoever_knows_the_old_one(self):
        self.client.force_login(self.user)
        form = {
            "old_password": "flying-low-4",
            "new_password1": "cumulus-nimbus-9",
            "new_password2": "cumulus-nimbus-9",
        }
        answer = self.client.post(reverse("password_change"), form)
        self.assertRedirects(answer, reverse("password_change_done"))

    def test_a_weak_password_is_refused_with_the_reason(self):
        self.client.force_login(self.user)
        form = {"old_password": "flying-low-4", "new_password1": "12345", "new_password2": "12345"}
        self.assertContains(self.client.post(reverse("password_change"), form), "too short")
