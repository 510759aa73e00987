"""Looks at the site of an app as a browser does: the first page, a static file, the admin's sign-in."""

from __future__ import annotations

import http.client
import http.cookiejar
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

SECONDS = 40
TOKEN = re.compile(r'name=["\']?csrfmiddlewaretoken["\']? value=["\']([^"\']+)["\']')
PASSWORD = re.compile(r"""name=["']?password["' >]""")
LINK = re.compile(r"""(?:href|src)=["']?([^"' >]+\.(?:css|js|png|svg|ico|jpg|webp)(?:\?[^"' >]*)?)["' >]""")


def resolve_localhost() -> None:
    """Resolve names under .localhost to this machine (RFC 6761); browsers do, many C libraries do not."""
    asked = socket.getaddrinfo

    def answer(host: str | None, *words: Any, **options: Any) -> Any:
        return asked("127.0.0.1" if host and str(host).endswith(".localhost") else host, *words, **options)

    socket.getaddrinfo = answer  # type: ignore[assignment]


def static_links(page: str) -> list[str]:
    """Links of a page to files of the same site, in their order; a link to another host is not included."""
    found = [match.replace("&amp;", "&") for match in LINK.findall(page)]
    return [link for link in found if not re.match(r"(?:[a-z]+:)?//", link) and not link.startswith("data:")]


class Inside(urllib.request.HTTPRedirectHandler):
    """Follows redirects within one host only."""

    def __init__(self, host: str) -> None:
        self.host = host

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urllib.parse.urlsplit(newurl).hostname != self.host:
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Site:
    """The site of one app, with the cookies of one visitor. A redirect to https is followed as it is."""

    def __init__(self, app: str, http_port: int, https_port: int) -> None:
        self.host = f"{app}.localhost"
        self.roots = (f"http://{self.host}:{http_port}", f"https://{self.host}:{https_port}")
        self.root = self.roots[0]
        self._fresh()

    def _fresh(self) -> None:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(strict_domain=False))
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({}), Inside(self.host),
            urllib.request.HTTPSHandler(context=tls),
        )  # fmt: skip

    def get(self, url: str, form: dict[str, str] | None = None) -> tuple[int, str, str]:
        """(status, text, final URL); status 0: no answer, and the text says why."""
        origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(url))
        headers = {"Referer": url, **({"Origin": origin} if form else {})}
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            request = urllib.request.Request(url, data, headers)  # noqa: S310 - an http address of the router
            with self.opener.open(request, timeout=SECONDS) as answer:
                return answer.status, answer.read().decode(errors="replace"), answer.url
        except urllib.error.HTTPError as error:
            place = error.headers.get("Location") or error.url
            return error.code, error.read().decode(errors="replace"), str(place)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return 0, str(error), url

    def first_page(self) -> tuple[str, str]:
        """(what was found, text of the page)."""
        status, body, url = self.get(f"{self.roots[0]}/")
        if url.startswith("https:") and urllib.parse.urlsplit(url).hostname == self.host:
            self.root = self.roots[1]
        path = urllib.parse.urlsplit(url).path
        if status == 0:
            return f"no answer: {body[:80]}", ""
        if 300 <= status < 400:
            return f"{status} to {url[:80]}", body
        return (f"{status} at {path}" if path not in ("", "/") else str(status)), body

    def has_static(self, page: str) -> bool:
        return bool(static_links(page))

    def static_file(self, page: str) -> str:
        """Status and path of the first static file that a page names."""
        links = static_links(page)
        if not links:
            return "-"
        url = urllib.parse.urljoin(f"{self.root}/", links[0])
        status, _, _ = self.get(url)
        return f"{status} {urllib.parse.urlsplit(url).path}"[:90]

    def admin_form(self, admin: str) -> tuple[str, str]:
        """``form`` and the sign-in page, else what is wrong; ``no admin`` if there is none."""
        status, body, url = self.get(f"{self.root}{admin}")
        if status == 404:
            return "no admin", ""
        if status == 200 and TOKEN.search(body):
            return "form", body
        return f"{status} at {urllib.parse.urlsplit(url).path}", body

    def sign_in(self, admin: str, user: str, password: str) -> str:
        """Sign in over http as the printed URL says, then over https as Heroku's browsers do."""
        first = self._sign_in(self.root + admin, user, password)
        if first == "ok" or self.root == self.roots[1]:
            return first
        self._fresh()
        return "ok over https" if self._sign_in(self.roots[1] + admin, user, password) == "ok" else first

    def _sign_in(self, url: str, user: str, password: str) -> str:
        _, page, form_url = self.get(url)
        token = TOKEN.search(page)
        if token is None:
            return "no form"
        words = {"username": user, "password": password, "csrfmiddlewaretoken": token[1]}
        status, _, _ = self.get(form_url, words | {"next": urllib.parse.urlsplit(url).path})
        if status != 200:
            return f"{status} after the form"
        status, body, _ = self.get(url)
        return "ok" if status == 200 and not PASSWORD.search(body) else "not signed in"
