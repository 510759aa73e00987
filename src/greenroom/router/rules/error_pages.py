"""Error pages for visitors if no dyno can answer: static files without scripts."""

from __future__ import annotations

from html import escape

from greenroom.router.rules import Page

STYLE = (
    "body{font:16px/1.5"
    " system-ui,sans-serif;color:#1f2430;background:#f6f7f9;margin:0;display:grid;min-height:100vh;place-items:center}"
    "main{background:#fff;border:1px"
    " solid #d9dde5;border-radius:10px;padding:2.5rem 3rem;max-width:34rem;margin:1rem}h1{font-size:1.4rem;margin:0 0"
    " .5rem}p{margin:.4rem 0}small{color:#596273}"
)


def page(code: str, what: Page, app: str = "") -> str:
    """A self-contained HTML page."""
    name = f"{escape(app)} · " if app else ""
    again = f'<meta http-equiv="refresh" content="{what.reload}">' if what.reload else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        f' content="width=device-width">{again}'
        f'<meta name="robots" content="noindex"><title>{escape(what.title)}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{escape(what.title)}</h1><p>{escape(what.text)}</p>"
        f"<p><small>{name}{escape(code)}</small></p></main></body></html>\n"
    )
