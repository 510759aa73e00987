"""Tests of single variables: booleans, numbers, lists and missing values."""

import os
from unittest import mock

from django.core.exceptions import ImproperlyConfigured
from django.test import SimpleTestCase

from payslip import environment


class EnvironmentTests(SimpleTestCase):
    def variables(self, **values: str) -> None:
        changed = mock.patch.dict(os.environ, values)
        changed.start()
        self.addCleanup(changed.stop)

    def test_yes_and_no_are_understood_in_the_usual_words(self):
        for word, meant in (("1", True), ("Yes", True), ("on", True), ("0", False), ("", False)):
            self.variables(A_SWITCH=word)
            self.assertIs(environment.switch("A_SWITCH"), meant)
        self.assertTrue(environment.switch("NOT_SET", default=True))

    def test_an_unclear_yes_or_no_is_refused_by_name(self):
        self.variables(A_SWITCH="perhaps")
        with self.assertRaisesMessage(ImproperlyConfigured, "A_SWITCH is 'perhaps'"):
            environment.switch("A_SWITCH")

    def test_a_number_is_whole_and_not_negative(self):
        self.variables(A_NUMBER="25", NO_NUMBER="-1")
        self.assertEqual(environment.number("A_NUMBER", 3), 25)
        self.assertEqual(environment.number("NOT_SET", 3), 3)
        with self.assertRaisesMessage(ImproperlyConfigured, "NO_NUMBER is '-1'"):
            environment.number("NO_NUMBER", 3)

    def test_a_list_is_separated_by_commas_or_blanks(self):
        self.variables(A_LIST="a.example, b.example  c.example")
        self.assertEqual(environment.words("A_LIST"), ["a.example", "b.example", "c.example"])

    def test_a_missing_or_blank_variable_is_named_unless_static_files_are_collected(self):
        self.variables(BLANK=" ", FULL=" value ")
        self.assertEqual(environment.required("FULL", "x"), "value")
        for name in ("BLANK", "NOT_SET"):
            with self.assertRaisesMessage(ImproperlyConfigured, f"variable {name} is not set"):
                environment.required(name, "x")
        with mock.patch.object(environment, "BUILDING", True):
            self.assertEqual(environment.required("NOT_SET", "x"), "x")
