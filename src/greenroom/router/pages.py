"""The pages that the router shows when no dyno can answer. Plain files, so that they need no control plane."""

from __future__ import annotations

from html import escape

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#1f2430;background:#f6f7f9;margin:0;display:grid;min-height:100vh;place-items:center}"
    "main{background:#fff;border:1px solid #d9dde5;border-radius:10px;padding:2.5rem 3rem;max-width:34rem;margin:1rem}"
    "h1{font-size:1.4rem;margin:0 0 .5rem}p{margin:.4rem 0}code{background:#eef0f4;padding:.15rem .4rem;border-radius:4px}"
    "small{color:#596273}"
)


def page(code: str, title: str, text: str, command: str = "", app: str = "") -> str:
    """One HTML page, complete in itself."""
    step = (
        f"<p><code>{escape(command)}{f' -a {escape(app)}' if app and not command.startswith('git') else ''}</code></p>"
        if command
        else ""
    )
    name = f"{escape(app)} · " if app else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<meta name="robots" content="noindex"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1><p>{escape(text)}</p>{step}<p><small>{name}{escape(code)}</small></p></main></body></html>\n"
    )
