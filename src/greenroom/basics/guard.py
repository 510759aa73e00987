"""Runs the steps of a loop one by one, so that an error of one app does not stop the others.

Each error is logged once per text and key, and the loop tries again in its next turn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import TypeVar

from greenroom.basics.errors import GreenroomError

T = TypeVar("T")
MOST = 1000


class Guard:
    """``logger``: receives the errors. One guard per loop: it remembers the logged errors."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.said: dict[Hashable, str] = {}

    def run(self, key: Hashable, what: str, step: Callable[[], T], gone: Callable[[], bool] | None = None) -> T | None:
        """The result of ``step``, None when it failed. ``gone``: whether what it worked on was removed meanwhile, which
        is no error.
        """
        try:
            result = step()
        except Exception as error:  # an error of one must not stop the others
            self._note(key, what, error, gone)
            return None
        self.said.pop(key, None)
        return result

    def _note(self, key: Hashable, what: str, error: Exception, gone: Callable[[], bool] | None) -> None:
        text = f"{type(error).__name__}: {error}"
        if self.said.get(key) == text or self._is_gone(gone):
            return
        if len(self.said) >= MOST:
            self.said.clear()
        self.said[key] = text
        unexpected = None if isinstance(error, GreenroomError) else error
        self.logger.warning("%s: %s", what, error, exc_info=unexpected)

    @staticmethod
    def _is_gone(gone: Callable[[], bool] | None) -> bool:
        try:
            return gone is not None and gone()
        except Exception:  # the database does not answer: then that is the error
            return False
