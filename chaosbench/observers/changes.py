"""Samples into changes: what is the same as before is not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")


class Changes(Generic[S]):
    """Follows one state through its samples.

    ``changed(at_ns, after_ns, state)`` is called when a sample differs from the
    one before. A sample's truth lies between asking and answering: the old
    state is vouched for when it was last asked for, the new one when it was answered.
    """

    def __init__(self, changed: Callable[[int, int, S], None]) -> None:
        self._changed = changed
        self._confirmed_ns: int | None = None
        self._state: S | None = None

    @property
    def state(self) -> S | None:
        """The last sample; None before the first."""
        return self._state

    def still(self, at_ns: int) -> None:
        """The state was the same up to then."""
        self._confirmed_ns = at_ns

    def sample(self, state: S, asked_ns: int, answered_ns: int) -> None:
        """Fold in one sample."""
        if state != self._state:
            after_ns = asked_ns if self._confirmed_ns is None else self._confirmed_ns
            self._state = state
            self._changed(answered_ns, after_ns, state)
        self._confirmed_ns = asked_ns
