"""A whole run as rows for a spreadsheet: one row per payslip, one column per component."""

from payroll.models import PayRun, PayslipLine

LEADING = ["number", "corrects", "staff_number", "staff_name", "job_title", "bank_account"]
TOTALS = ["gross", "deductions", "net", "employer", "already_paid", "due"]


def run_rows(run: PayRun):
    """The header first; amounts have a decimal point and two decimals."""
    codes = component_columns(run)
    yield [*LEADING, *codes, *TOTALS]
    payslips = run.payslips.select_related("corrects").prefetch_related("lines")
    for slip in payslips.order_by("staff_number", "pk"):
        amounts = {line.code: line.amount for line in slip.lines.all()}
        corrected = slip.corrects.number if slip.corrects else ""
        yield [
            slip.number or "",
            corrected,
            *(getattr(slip, name) for name in LEADING[2:]),
            *(amounts.get(code, "") for code in codes),
            *(getattr(slip, name) for name in TOTALS),
        ]


def component_columns(run: PayRun) -> list[str]:
    """The component codes, in the order of the longest payslips."""
    positions: dict[str, int] = {}
    lines = PayslipLine.objects.filter(payslip__run=run).order_by().values_list("code", "position")
    for code, position in lines.distinct():
        positions[code] = max(position, positions.get(code, 0))
    return sorted(positions, key=lambda code: (positions[code], code))
