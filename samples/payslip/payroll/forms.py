"""The forms of the payroll's pages. Their messages say what to enter."""

import datetime as dt

from django import forms

from payroll.models import Method, PayComponent, StaffMember, UnitEntry, UnitType
from payroll.months import parse
from payroll.unitentry import Cell
from payroll.unitimport import LARGEST_FILE


class MonthField(forms.CharField):
    """A month in the format of the browser's month input: 2026-07."""

    widget = forms.TextInput(
        attrs={"type": "month", "placeholder": "2026-07", "pattern": "[0-9]{4}-[0-9]{2}"}
    )

    def clean(self, value) -> dt.date:
        text = super().clean(value)
        try:
            return parse(text)
        except ValueError:
            raise forms.ValidationError(
                "Enter a month as year and number, such as 2026-07."
            ) from None


class NewRunForm(forms.Form):
    month = MonthField(help_text="Year and month, such as 2026-07.")


class SendBackForm(forms.Form):
    reason = forms.CharField(
        max_length=200,
        help_text="The payroll manager reads this in the run's history.",
        error_messages={"required": "Say what has to be changed, so that it can be."},
    )


class SearchForm(forms.Form):
    q = forms.CharField(label="Name or staff number", max_length=60, required=False)


class UnitFileForm(forms.Form):
    file = forms.FileField(
        label="CSV file",
        help_text="UTF-8, with a line of column names; commas or semicolons between the columns.",
        widget=forms.FileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={
            "required": "Choose the CSV file to import.",
            "empty": "This file is empty. Choose one with a line of column names and one per person.",
        },
    )

    def clean_file(self):
        file = self.cleaned_data["file"]
        if file.size > LARGEST_FILE:
            raise forms.ValidationError("This file is larger than 1 MB. Split it into several.")
        return file


class UnitsForm(forms.Form):
    """One row per person and one field per unit, for the people on one page."""

    def __init__(self, people: list[StaffMember], units: list[UnitType], month, data=None) -> None:
        super().__init__(data)
        stored = {
            (entry.staff_id, entry.unit_type_id): entry.quantity
            for entry in UnitEntry.objects.filter(month=month, staff__in=people)
        }
        self.rows = []
        for one in people:
            cells = []
            for unit in units:
                name = f"u-{one.pk}-{unit.pk}"
                self.fields[name] = self.quantity(f"{unit.name} of {one.name}")
                self.initial[name] = stored.get((one.pk, unit.pk))
                cells.append(self[name])
            self.rows.append((one, cells))

    @staticmethod
    def quantity(label: str) -> forms.DecimalField:
        return forms.DecimalField(
            label=label,
            required=False,
            min_value=0,
            max_digits=9,
            decimal_places=2,
            widget=forms.TextInput(
                attrs={"inputmode": "decimal", "aria-label": label, "autocomplete": "off"}
            ),
            error_messages={
                "invalid": "Enter a number such as 12.5.",
                "min_value": "Units cannot be negative.",
                "max_decimal_places": "Use at most two decimals.",
            },
        )

    def cells(self) -> dict[Cell, object]:
        found = {}
        for name, quantity in self.cleaned_data.items():
            _, staff, unit = name.split("-")
            found[int(staff), int(unit)] = quantity
        return found


class PayComponentForm(forms.ModelForm):
    """For the admin: a percentage may refer only to earlier components."""

    class Meta:
        model = PayComponent
        fields = ["code", "name", "kind", "method", "order", "unit_type", "bases", "prorated"]

    def clean(self) -> dict:
        cleaned = super().clean()
        bases, order = cleaned.get("bases"), cleaned.get("order")
        if bases is None or order is None:
            return cleaned
        if cleaned.get("method") == Method.PERCENTAGE:
            if not bases:
                self.add_error("bases", "Choose what the percentage is taken of.")
            for late in (base for base in bases if base.order >= order):
                self.add_error("bases", f"{late.name} does not come before this component.")
        elif bases:
            self.add_error("bases", "Only a percentage has bases. Remove them.")
        return cleaned
