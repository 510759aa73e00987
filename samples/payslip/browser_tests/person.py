"""A user with a browser: signs in, opens pages, and collects console errors."""

import os
from pathlib import Path

SHOTS = os.environ.get("SCREENSHOTS")


class Person:
    def __init__(self, browser, base_url: str, width: int = 1280, height: int = 860) -> None:
        self.context = browser.new_context(
            base_url=base_url, viewport={"width": width, "height": height}
        )
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self.listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def listen(self, message) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    def sign_in(self, username: str, password: str) -> "Person":
        self.page.goto("/")
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("heading", name="Good to see you").wait_for()
        return self

    def go(self, address: str) -> None:
        self.page.goto(address)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def follow(self, name: str) -> None:
        self.page.get_by_role("link", name=name, exact=True).first.click()

    def reads(self, text: str) -> None:
        self.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=5000)

    def fetch(self, address: str) -> dict:
        """Status, content type and first characters of a URL, requested in the user's session."""
        return self.page.evaluate(
            """async address => {
                const answer = await fetch(address);
                const start = (await answer.text()).slice(0, 5);
                return {status: answer.status, type: answer.headers.get("content-type"), start};
            }""",
            address,
        )

    def picture(self, name: str) -> None:
        if SHOTS:
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)

    def too_wide(self) -> int:
        """Number of pixels by which the page is wider than the window."""
        return self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )

    def serious_findings(self, axe_source: str) -> list[str]:
        self.page.evaluate(axe_source)
        result = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['target']}"
            for one in result["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def leave(self) -> None:
        self.context.close()
