"""The number of queries does not grow with the number of people. The benchmark measures times."""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from payroll import workflow
from payroll.models import ComponentRate, EmploymentPeriod, StaffMember
from payroll.tests.helpers import JUNE, MAY, SINCE, PayrollTestCase


class ConstantQueriesTests(PayrollTestCase):
    def hire(self, count: int, prefix: str) -> None:
        people = StaffMember.objects.bulk_create(
            StaffMember(number=f"{prefix}-{index}", name=f"Person {index}")
            for index in range(count)
        )
        EmploymentPeriod.objects.bulk_create(
            EmploymentPeriod(staff=one, starts=SINCE, job_title="Pilot") for one in people
        )
        ComponentRate.objects.bulk_create(
            ComponentRate(component=self.salary, staff=one, value=1000, valid_from=SINCE)
            for one in people
        )

    def queries(self, work) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            work()
        if connection.vendor == "postgresql":
            return len(captured)
        # SQLite limits the number of values in a statement, so rows are written in batches.
        return sum(1 for query in captured if query["sql"].startswith(("SELECT", "DELETE")))

    def test_calculating_takes_as_many_queries_for_a_hundred_people_as_for_ten(self):
        self.hire(8, "A")
        first = workflow.create(MAY, self.manager)
        second = workflow.create(JUNE, self.manager)
        few = self.queries(lambda: workflow.calculate(first, self.manager))
        self.hire(90, "B")
        many = self.queries(lambda: workflow.calculate(second, self.manager))
        self.assertEqual(second.payslips.count(), 100)
        self.assertEqual(few, many)

    def test_the_page_of_a_run_takes_as_many_queries_for_a_hundred_people_as_for_ten(self):
        self.hire(8, "A")
        small = self.calculated(MAY)
        self.hire(90, "B")
        large = self.calculated(JUNE)
        self.as_user(self.approver)
        counts = []
        for run in (small, large):
            address = reverse("run", args=[run.pk])
            counts.append(self.queries(lambda address=address: self.client.get(address)))
        self.assertEqual(*counts)

    def test_the_list_of_runs_takes_as_many_queries_for_ten_runs_as_for_one(self):
        self.calculated(MAY)
        self.as_user(self.approver)
        few = self.queries(lambda: self.client.get(reverse("runs")))
        for month in range(1, 5):
            self.calculated(MAY.replace(month=month))
        self.assertEqual(few, self.queries(lambda: self.client.get(reverse("runs"))))
