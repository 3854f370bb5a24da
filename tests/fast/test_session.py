"""What asyncpg's exceptions mean: the SQLSTATE the server gave, and a label with few values."""

from __future__ import annotations

import asyncpg
import pytest

from chaosbench.engine.session import DRIVER_ERRORS, reason_of, sqlstate_of


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


CASES: list[tuple[BaseException, str | None, str]] = [
    (asyncpg.ReadOnlySQLTransactionError("no"), "25006", "25006"),
    (asyncpg.UniqueViolationError("no"), "23505", "23505"),
    (asyncpg.SerializationError("no"), "40001", "40001"),
    (asyncpg.DeadlockDetectedError("no"), "40P01", "40P01"),
    (asyncpg.QueryCanceledError("no"), "57014", "57014"),
    (asyncpg.AdminShutdownError("no"), "57P01", "57P01"),
    (asyncpg.CrashShutdownError("no"), "57P02", "57P02"),
    (asyncpg.CannotConnectNowError("no"), "57P03", "57P03"),
    (asyncpg.TooManyConnectionsError("no"), "53300", "53300"),
    (asyncpg.InvalidPasswordError("no"), "28P01", "28P01"),
    (asyncpg.UndefinedTableError("no"), "42P01", "42P01"),
    # The client's own "connection lost" has an SQLSTATE as well, but no server said so.
    (asyncpg.ConnectionDoesNotExistError("closed in the middle of operation"), None, "connection_lost"),
    (asyncpg.ConnectionFailureError("lost"), None, "connection_lost"),
    # What the server said last is what counts.
    (
        caused(asyncpg.ConnectionDoesNotExistError("closed"), asyncpg.AdminShutdownError("terminating")),
        "57P01",
        "57P01",
    ),
    (caused(asyncpg.InterfaceError("closed"), asyncpg.AdminShutdownError("terminating")), "57P01", "57P01"),
    (
        caused(asyncpg.InterfaceError("a"), caused(asyncpg.PostgresError("b"), asyncpg.CrashShutdownError("c"))),
        "57P02",
        "57P02",
    ),
    (caused(asyncpg.ConnectionDoesNotExistError("closed"), ConnectionResetError("reset")), None, "connection_lost"),
    (asyncpg.InterfaceError("connection is closed"), None, "InterfaceError"),
    (asyncpg.InternalClientError("odd"), None, "InternalClientError"),
    (ConnectionRefusedError("refused"), None, "ConnectionRefusedError"),
    (ConnectionResetError("reset"), None, "ConnectionResetError"),
    (OSError("no route"), None, "OSError"),
    (TimeoutError(), None, "timeout"),
]


@pytest.mark.parametrize(("error", "sqlstate", "reason"), CASES, ids=lambda case: type(case).__name__)
def test_sqlstate_and_reason(error: BaseException, sqlstate: str | None, reason: str):
    assert sqlstate_of(error) == sqlstate
    assert reason_of(error) == reason
    assert isinstance(error, DRIVER_ERRORS), "a query may end so; the run goes on"


def test_a_label_never_carries_an_exceptions_text():
    for error in (asyncpg.PostgresError("some text"), OSError("some text"), asyncpg.InterfaceError("some text")):
        assert "some text" not in reason_of(error)


def test_a_defect_is_no_driver_error():
    assert not isinstance(KeyError("x"), DRIVER_ERRORS)
    assert not isinstance(AttributeError("x"), DRIVER_ERRORS)
