"""Formats money, months and statuses the same way on every page."""

import datetime as dt
import re
from decimal import Decimal

from django import template
from django.conf import settings

register = template.Library()


@register.filter
def money(amount: Decimal | None) -> str:
    """Thousands separators, two decimals, and a real minus sign."""
    if amount is None:
        return "–"
    return f"{amount:,.2f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def rate(value: Decimal) -> str:
    """An amount per unit: like money, but with up to four decimals."""
    more = max(2, -value.normalize().as_tuple().exponent)
    return f"{value:,.{more}f}".replace("-", "\N{MINUS SIGN}")


@register.filter
def figure(value) -> str:
    """A recorded value: formats an amount with two decimals as money and leaves everything else unchanged."""
    text = str(value)
    return money(Decimal(text)) if re.fullmatch(r"-?\d+\.\d\d", text) else text


@register.filter
def month(day: dt.date) -> str:
    return f"{day:%B %Y}"


@register.filter
def month_code(day: dt.date) -> str:
    return f"{day:%Y-%m}"


@register.simple_tag
def currency() -> str:
    return settings.CURRENCY


@register.simple_tag
def organisation() -> str:
    return settings.ORGANISATION


@register.inclusion_tag("payroll/parts/status.html")
def status(run) -> dict:
    return {"run": run}


@register.inclusion_tag("payroll/parts/pages.html", takes_context=True)
def pages(context, page) -> dict:
    return {"page": page, "request": context["request"]}


@register.inclusion_tag("payroll/parts/field.html")
def field(bound, hint: str = "") -> dict:
    return {"field": bound, "hint": hint or bound.help_text}


@register.filter
def unlocalise(number: float) -> str:
    """A coordinate in SVG syntax, independent of the language."""
    return f"{number:g}"
