"""What became of an operation, as a table."""

from __future__ import annotations

import pytest

from chaosbench.outcome import Outcome, proves_abort, settle, spoils_session

FAILED, UNKNOWN, OK = Outcome.FAILED, Outcome.UNKNOWN, Outcome.OK


@pytest.mark.parametrize(
    ("sqlstate", "effect_sent", "attempt", "expected"),
    [
        # Nothing with a lasting effect had been sent: it failed, whatever happened.
        (None, False, 1, FAILED),
        ("57P01", False, 1, FAILED),
        ("08006", False, 1, FAILED),
        ("XX000", False, 3, UNKNOWN),
        # It had: only a state that proves an abort makes it failed.
        (None, True, 1, UNKNOWN),
        ("25006", True, 1, FAILED),
        ("40001", True, 1, FAILED),
        ("40P01", True, 1, FAILED),
        ("53300", True, 1, FAILED),
        ("57014", True, 1, FAILED),
        ("57P03", True, 1, FAILED),
        ("08001", True, 1, FAILED),
        ("40003", True, 1, UNKNOWN),
        ("57P01", True, 1, UNKNOWN),
        ("57P02", True, 1, UNKNOWN),
        ("57P05", True, 1, UNKNOWN),
        ("08003", True, 1, UNKNOWN),
        ("08006", True, 1, UNKNOWN),
        ("08007", True, 1, UNKNOWN),
        ("08P01", True, 1, UNKNOWN),
        ("58000", True, 1, UNKNOWN),
        ("XX000", True, 1, UNKNOWN),
        ("", True, 1, UNKNOWN),
        # A duplicate of an id that only this client makes: on a retry, an earlier attempt took effect.
        ("23505", True, 1, FAILED),
        ("23505", True, 2, OK),
        ("23505", False, 2, OK),
        ("23503", True, 2, UNKNOWN),
    ],
)
def test_the_outcome_of_an_operation_that_raised(
    sqlstate: str | None, effect_sent: bool, attempt: int, expected: Outcome
) -> None:
    assert settle(sqlstate, effect_sent=effect_sent, attempt=attempt) is expected


@pytest.mark.parametrize(
    ("sqlstate", "spoilt"),
    [
        (None, True),
        ("08000", True),
        ("08006", True),
        ("25006", True),
        ("57P01", True),
        ("57P02", True),
        ("57P03", True),
        ("57P05", True),
        ("57014", False),
        ("40001", False),
        ("23505", False),
        ("42P01", False),
    ],
)
def test_which_errors_cost_the_session(sqlstate: str | None, spoilt: bool) -> None:
    assert spoils_session(sqlstate) is spoilt


@pytest.mark.parametrize("sqlstate", ["57P01", "57P02", "08003", "08006", "08007", "40003", "XX001", "F0000", "P0001"])
def test_what_proves_nothing(sqlstate: str) -> None:
    assert not proves_abort(sqlstate)
