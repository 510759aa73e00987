"""Which lines of an app's log somebody asked for. Pure; the lines themselves are basics.logfile's."""

from __future__ import annotations

from dataclasses import dataclass

SOURCES = ("app", "heroku")


@dataclass(frozen=True)
class Wanted:
    """A filter in Heroku's words: ``source`` app or heroku, ``dyno`` a name (``web.1``) or a type (``web``). Empty: all."""

    source: str = ""
    dyno: str = ""

    def accepts(self, source: str, process: str) -> bool:
        """Whether a line of this source and process is wanted."""
        if self.source and self.source != source:
            return False
        return not self.dyno or process == self.dyno or process.partition(".")[0] == self.dyno
