"""A payslip as a PDF on one A4 page, or more if it is long. The fonts are part of the application."""

from pathlib import Path

from django.conf import settings
from django.utils import timezone
from fpdf import FPDF
from fpdf.enums import XPos, YPos

from payroll.models import Payslip
from payroll.templatetags.payroll_format import money

FONTS = Path(__file__).parent / "fonts"
FAMILY = "DejaVu"
GREEN = (31, 95, 75)
GREY = (90, 99, 95)
INK = (28, 36, 33)
RULE = (213, 220, 215)
LABEL, BASIS, AMOUNT = 74, 66, 30


class Document(FPDF):
    def __init__(self, footer: str) -> None:
        super().__init__(format="A4")
        self.footer_text = footer
        self.set_margins(20, 18, 20)
        self.set_auto_page_break(True, 24)
        self.add_font(FAMILY, "", FONTS / "DejaVuSans.ttf")
        self.add_font(FAMILY, "B", FONTS / "DejaVuSans-Bold.ttf")

    def footer(self) -> None:
        self.set_y(-16)
        self.type(7.5, colour=GREY)
        self.cell(0, 5, self.footer_text)
        self.cell(0, 5, f"Page {self.page_no()} of {{nb}}", align="R")

    def type(self, size: float, bold: bool = False, colour: tuple = INK) -> None:
        self.set_font(FAMILY, "B" if bold else "", size)
        self.set_text_color(*colour)

    def rule(self, colour: tuple = RULE) -> None:
        self.set_draw_color(*colour)
        self.line(self.l_margin, self.get_y(), self.w - self.r_margin, self.get_y())

    def row(self, label: str, basis: str, amount: str, height: float = 6) -> None:
        self.cell(LABEL, height, label)
        self.cell(BASIS, height, basis)
        self.cell(AMOUNT, height, amount, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def render_pdf(payslip: Payslip, sections: list[dict]) -> bytes:
    title = f"Payslip {payslip.number}" if payslip.number else "Payslip (preview, not approved)"
    pdf = Document(f"{settings.ORGANISATION} · {title}")
    pdf.set_title(f"{title}, {payslip.run.month:%B %Y}")
    pdf.set_author(settings.ORGANISATION)
    pdf.set_lang("en")
    pdf.add_page()
    head(pdf, payslip, title)
    for section in sections[:2]:
        table(pdf, section)
    net_pay(pdf, payslip)
    table(pdf, sections[2])
    year_to_date(pdf, payslip)
    return bytes(pdf.output())


def head(pdf: Document, payslip: Payslip, title: str) -> None:
    pdf.type(9, colour=GREY)
    pdf.cell(0, 6, settings.ORGANISATION, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.type(17, bold=True, colour=GREEN)
    pdf.cell(0, 10, title, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(2)
    employed = f"{payslip.days_employed} of {payslip.days_in_month} days"
    facts = [
        ("Month", f"{payslip.run.month:%B %Y}"),
        ("Name", payslip.staff_name),
        ("Staff number", payslip.staff_number),
        ("Job", payslip.job_title or "–"),
        ("Employed", employed),
        ("Paid to", payslip.bank_account or "–"),
    ]
    if payslip.run.paid_at:
        facts.append(("Paid on", f"{timezone.localdate(payslip.run.paid_at):%-d %B %Y}"))
    if payslip.corrects:
        facts.append(("Corrects", f"Payslip {payslip.corrects.number}"))
    for name, value in facts:
        pdf.type(9, colour=GREY)
        pdf.cell(32, 5.5, name)
        pdf.type(9)
        pdf.cell(0, 5.5, value, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(4)


def table(pdf: Document, section: dict) -> None:
    pdf.type(10, bold=True, colour=GREEN)
    pdf.row(section["title"], "", settings.CURRENCY, 7)
    pdf.rule(GREEN)
    for line in section["lines"]:
        pdf.type(8.5)
        pdf.row(line.name, line.basis, money(line.amount))
        pdf.rule()
    pdf.type(8.5, bold=True)
    pdf.row(section["total_label"], "", money(section["total"]), 7)
    pdf.ln(4)


def net_pay(pdf: Document, payslip: Payslip) -> None:
    pdf.set_fill_color(231, 240, 235)
    pdf.type(12, bold=True)
    pdf.cell(LABEL, 11, "  Net pay", fill=True)
    pdf.cell(BASIS, 11, settings.CURRENCY, fill=True, align="R")
    amount = f"{money(payslip.net)} "
    pdf.cell(AMOUNT, 11, amount, fill=True, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    if payslip.corrects:
        pdf.type(8.5)
        pdf.row(f"Paid with {payslip.corrects.number}", "", money(payslip.already_paid), 7)
        pdf.type(8.5, bold=True)
        pdf.row(
            "Still to be paid" if payslip.due >= 0 else "To be paid back",
            "",
            money(abs(payslip.due)),
            7,
        )
    pdf.ln(5)


def year_to_date(pdf: Document, payslip: Payslip) -> None:
    pdf.type(10, bold=True, colour=GREEN)
    pdf.row(f"The year {payslip.run.month.year} up to this month", "", settings.CURRENCY, 7)
    pdf.rule(GREEN)
    pdf.type(8.5)
    pdf.row("Gross pay", "", money(payslip.ytd_gross))
    pdf.row("Deductions", "", money(payslip.ytd_deductions))
    pdf.row("Net pay", "", money(payslip.ytd_net))
    pdf.row("Employer contributions", "", money(payslip.ytd_employer))
