"""The closing report of ``server:install``: addresses, DNS records, firewall and the next commands."""

from __future__ import annotations

import shlex
from pathlib import Path

from greenroom_cli.host import names
from greenroom_cli.host.home import Installation
from greenroom_cli.host.server import acts, install, units


def closing(home: Path, settings: Installation) -> str:
    """The report as text."""
    domain = settings.domain
    start = "" if acts.booted() else _by_hand(home)
    own = f"\n  own CA         give {home}/ca.pem to clients" if settings.certificates == names.OWN else ""
    return f"""
Greenroom is installed for {domain} in {home}.{start}

  API and git    {names.url("https", domain, settings.https_port)}
  apps           {names.url("https", f"APP.{domain}", settings.https_port)}
  token          {home}/keys/admin.token   (of the first administrator)
  settings       {units.ENVIRONMENT}{own}

In DNS, create two records with the public address of this machine:
  {domain}.      A  ADDRESS
  *.{domain}.    A  ADDRESS

In the firewall, open {settings.http_port} and {settings.https_port}, and {settings.rendezvous_port} for attached \
one-off dynos (heroku run).

Then: greenroom server:check{_home_flag(home)}
      eval "$(greenroom env --home {shlex.quote(str(home))})"; greenroom create
"""


def _home_flag(home: Path) -> str:
    return "" if home == units.HOME else f" --home {shlex.quote(str(home))}"


def _by_hand(home: Path) -> str:
    command = shlex.join([str(install.program()), "up", "--detach", "--home", str(home)])
    return f"\nsystemd is not the init system here, so that nothing was started. To start it: {command}"
