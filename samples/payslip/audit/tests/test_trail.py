"""Tests of the audit trail: changes are recorded, and entries cannot be changed or deleted."""

from django.urls import reverse

from audit.models import AuditEntry
from payroll.tests.helpers import PayrollTestCase, make_user


class RecordingTests(PayrollTestCase):
    def setUp(self):
        AuditEntry.objects.all()._raw_delete("default")
        self.root = make_user("root", is_staff=True, is_superuser=True)
        self.as_user(self.root)

    def latest(self, action: str) -> AuditEntry:
        return AuditEntry.objects.filter(action=action).first()

    def test_a_change_in_the_admin_is_told_with_the_person_and_both_values(self):
        rate = self.insurance.rates.get()
        self.client.post(
            f"/admin/payroll/componentrate/{rate.pk}/change/",
            {"component": self.insurance.pk, "value": "11", "valid_from": "2020-01-01"},
        )
        entry = self.latest("changed")
        self.assertEqual(entry.actor, self.root)
        self.assertEqual(entry.changes, {"value": ["10.0000", "11"]})

    def test_added_and_deleted_data_are_told_with_their_values(self):
        self.hours.delete()
        self.assertEqual(self.latest("deleted").changes["name"], ["Hours", ""])
        self.assertEqual(self.latest("added").subject, "root")

    def test_saving_without_a_change_leaves_no_entry(self):
        before = AuditEntry.objects.count()
        self.tom.save()
        self.assertEqual(AuditEntry.objects.count(), before)

    def test_a_new_role_is_told_but_never_a_password(self):
        group = self.manager.groups.get()
        self.member.groups.add(group)
        self.assertEqual(self.latest("links changed").changes, {"groups": ["", group.name]})
        self.member.groups.remove(group)
        self.assertEqual(self.latest("links changed").changes, {"groups": [group.name, ""]})
        self.member.groups.clear()
        self.assertTrue(self.latest("links cleared"))
        self.member.set_password("quite-another-1")
        self.member.save()
        self.assertEqual(self.latest("changed").changes, {"password": ["•••", "•••"]})

    def test_signing_in_is_no_change_of_the_user(self):
        before = AuditEntry.objects.filter(action="changed").count()
        self.client.login(username="mara", password="flying-low-4")  # noqa: S106
        self.assertEqual(AuditEntry.objects.filter(action="changed").count(), before)

    def test_an_entry_is_neither_changed_nor_deleted(self):
        entry = AuditEntry.objects.first()
        for change in (entry.save, entry.delete):
            with self.assertRaises(TypeError):
                change()


class TrailPageTests(PayrollTestCase):
    def test_the_trail_can_be_searched_by_person_and_action(self):
        self.paid()
        self.as_user(self.approver)
        found = self.client.get(reverse("audit-trail"), {"q": "approved"})
        self.assertContains(found, "Run approved")
        self.assertNotContains(found, "Run paid")
        self.assertContains(
            self.client.get(reverse("audit-trail"), {"q": "zzz"}), "No entry matches"
        )
