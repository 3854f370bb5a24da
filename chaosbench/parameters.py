"""Custom SQL from the scenario file: statements, and where their parameters come from. Pure."""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from chaosbench.model.scenario import STRICT
from chaosbench.outcome import OpClass

Draw = Callable[[], object]


def _scalar(value: object) -> object:
    if not isinstance(value, str | int | float):
        raise ValueError("write text, a number, true or false")  # noqa: TRY004 - pydantic reports ValueErrors
    return value


Scalar = Annotated[Any, BeforeValidator(_scalar)]


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Parameter:
    """One parameter's generator; exactly one key:

    uniform: [low, high]    whole numbers, both ends included
    normal: [mean, sd]      numbers
    exponential: mean       numbers
    choice: [a, b, ...]     one of these
    text: length            random letters and digits
    sequence: start         start, start + 1, ... on each connection
    """

    uniform: tuple[int, int] | None = None
    normal: tuple[float, float] | None = None
    exponential: float | None = Field(default=None, gt=0)
    choice: tuple[Scalar, ...] | None = Field(default=None, min_length=1)
    text: int | None = Field(default=None, ge=1, le=1_000_000)
    sequence: int | None = None

    @model_validator(mode="after")
    def _one_generator(self) -> Parameter:
        given = [name for name in GENERATORS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a parameter has exactly one generator of {', '.join(GENERATORS)}; this has {len(given)}")
        if self.uniform is not None and self.uniform[0] > self.uniform[1]:
            raise ValueError("uniform: write the low end first, as in [1, 1000]")
        return self


GENERATORS = ("uniform", "normal", "exponential", "choice", "text", "sequence")


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Statement:
    """One SQL statement; ``$1``, ``$2``, ... are its parameters in order."""

    sql: str = Field(min_length=1)
    parameters: tuple[Parameter, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class CustomOperation:
    """One operation: a statement, or several that run as one transaction.

    ``class: read`` promises that it changes nothing: an interrupted read counts
    as failed, an interrupted write as unknown.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    op_class: Annotated[Literal[OpClass.READ, OpClass.WRITE], Field(alias="class")]
    statements: tuple[Statement, ...] = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0)


def sampler(parameter: Parameter, rng: random.Random) -> Draw:
    """A function that draws the parameter's next value."""
    if parameter.uniform is not None:
        low, high = parameter.uniform
        return lambda: low + int(rng.random() * (high - low + 1))
    if parameter.normal is not None:
        mean, deviation = parameter.normal
        return lambda: rng.gauss(mean, deviation)
    if parameter.exponential is not None:
        rate = 1 / parameter.exponential
        return lambda: rng.expovariate(rate)
    if parameter.choice is not None:
        options = parameter.choice
        return lambda: options[int(rng.random() * len(options))]
    if parameter.text is not None:
        length = parameter.text
        return lambda: "".join(rng.choices(string.ascii_letters + string.digits, k=length))
    return count(parameter.sequence or 0).__next__
