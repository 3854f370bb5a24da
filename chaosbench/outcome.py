"""What became of an operation, decided from what is known and never from hope.

    ok        acknowledged
    failed    certainly had no effect
    unknown   may have taken effect
    shed      never sent

The rule is short. An operation that had sent nothing with a lasting effect
failed. One that had (a commit, or a statement that commits by itself) failed
only if the server said so with an SQLSTATE that proves an abort; everything
else is unknown.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The four ends of an operation."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SHED = "shed"


class OpClass(StrEnum):
    """The classes of traffic that have error windows of their own."""

    CONNECT = "connect"
    READ = "read"
    WRITE = "write"


UNIQUE_VIOLATION = "23505"
READ_ONLY = "25006"

# Classes whose errors abort the statement or transaction before it can commit.
_ABORTED_CLASSES = frozenset({"0A", "21", "22", "23", "25", "26", "28", "34", "3D", "3F", "42", "44", "53", "54", "55"})
_ABORTED_STATES = frozenset(
    {
        "40001",  # serialization_failure
        "40002",  # transaction_integrity_constraint_violation
        "40P01",  # deadlock_detected
        "57014",  # query_canceled: the statement was rolled back
        "57P03",  # cannot_connect_now: never got a session
        "08001",  # could not establish the connection
        "08004",  # connection rejected
    }
)

# Errors after which the session is of no use for the next operation although it is still open:
# a demoted primary goes on answering 25006 for ever.
_SPOILED_STATES = frozenset({READ_ONLY, "57P01", "57P02", "57P03", "57P05"})


def proves_abort(sqlstate: str) -> bool:
    """Whether an error with this SQLSTATE means that nothing took effect."""
    return sqlstate in _ABORTED_STATES or sqlstate[:2] in _ABORTED_CLASSES


def settle(sqlstate: str | None, *, effect_sent: bool, attempt: int = 1) -> Outcome:
    """The outcome of an operation that raised.

    sqlstate:     what the server answered; None when the connection broke or time ran out
    effect_sent:  whether anything that could commit had been sent
    attempt:      1 for the first; a unique violation on a later one proves that an earlier one took effect
    """
    if attempt > 1:
        # It is tried again only because an earlier attempt may have taken effect; no other answer disproves that.
        return Outcome.OK if sqlstate == UNIQUE_VIOLATION else Outcome.UNKNOWN
    if not effect_sent:
        return Outcome.FAILED
    if sqlstate is not None and proves_abort(sqlstate):
        return Outcome.FAILED
    return Outcome.UNKNOWN


def spoils_session(sqlstate: str | None) -> bool:
    """Whether the session must be replaced after this error."""
    return sqlstate is None or sqlstate[:2] == "08" or sqlstate in _SPOILED_STATES
