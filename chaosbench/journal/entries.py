"""One entry of the journal: a fault on one member, with all that healing it takes, as JSON and back.

The injector is kept as its settings and rebuilt through the table, so that any
process of the same chaosbench can heal what another one injected.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked

import chaosbench
from chaosbench.injectors import Injector
from chaosbench.injectors.record import Mark
from chaosbench.injectors.table import INJECTORS
from chaosbench.model.cluster import Address, Member, Role, RunState
from chaosbench.model.faults import Before
from chaosbench.model.scenario import STRICT
from chaosbench.units import STORED

VERSION = 1
"""Of the format; one that is not this is told to the person, never guessed at."""


@checked(frozen=True, slots=True, kw_only=True, config=STRICT)
class Target:
    """The member that was hit, as healing needs it. ``ports`` are ``host:port`` by service."""

    name: str
    role: Role
    container_id: str
    ports: dict[str, str]


@checked(frozen=True, slots=True, kw_only=True, config=STRICT)
class Entry:
    """A fault on one member.

    version:   of this format
    id:        its name in the journal; sorts by the time of its beginning
    mark:      how far it has come
    fault:     its name in the scenario
    injector:  the injector's kind
    settings:  the injector's fields
    member:    what was hit
    before:    what the injector saw of the member before anything was touched
    pid:       the chaosbench process that injected it
    engine:    DOCKER_HOST of that process; empty for the machine's own engine
    marked_at: wall time of each mark so far, ISO 8601 in UTC
    """

    version: int
    chaosbench: str
    id: str
    mark: Mark
    fault: str
    injector: str
    settings: dict[str, Any]
    member: Target
    before: dict[str, Any]
    pid: int
    engine: str
    marked_at: dict[Mark, str]

    def __str__(self) -> str:
        return f"{self.fault}: {self.injector} on {self.member.name}"


@dataclass(frozen=True, slots=True)
class Deed:
    """An entry brought back to life."""

    entry: Entry
    injector: Injector
    member: Member

    @property
    def remedy(self) -> str:
        """A shell command that heals it by hand."""
        return self.injector.remedy(self.member, self.entry.before)


class Unreadable(ValueError):
    """An entry that cannot be used; the text says why."""


def entry_of(
    name: str, fault: str, injector: Injector, member: Member, before: Before, *, pid: int, engine: str, now: str
) -> Entry:
    """The entry that tells of a fault that is about to be injected."""
    return Entry(
        version=VERSION,
        chaosbench=chaosbench.__version__,
        id=name,
        mark=Mark.INTENT,
        fault=fault,
        injector=injector.kind,
        settings=_settings(type(injector)).dump_python(injector, mode="json"),
        member=Target(
            name=member.name,
            role=member.role,
            container_id=member.container_id,
            ports={service: str(address) for service, address in member.ports.items()},
        ),
        before=dict(before),
        pid=pid,
        engine=engine,
        marked_at={Mark.INTENT: now},
    )


def encode(entry: Entry) -> bytes:
    """As JSON for a person to read, too."""
    return _ENTRY.dump_json(entry, indent=2) + b"\n"


def decode(raw: bytes) -> Entry:
    """Back from JSON; Unreadable when it was cut short or is of another format."""
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise Unreadable(f"it is no JSON ({error})") from None
    version = found.get("version") if isinstance(found, dict) else None
    if version != VERSION:
        by = f", written by chaosbench {found['chaosbench']}" if version and "chaosbench" in found else ""
        raise Unreadable(f"its format is {version!r}{by}, and this chaosbench reads {VERSION}")
    try:
        return _ENTRY.validate_json(raw)
    except ValidationError as error:
        raise Unreadable(_first(error)) from None


def revive(entry: Entry) -> Deed:
    """The injector and the member of an entry; Unreadable when this chaosbench does not know that fault."""
    cls = INJECTORS.get(entry.injector)
    if cls is None:
        raise Unreadable(f"this chaosbench has no injector {entry.injector!r}")
    try:
        injector = _settings(cls).validate_python(entry.settings, context=STORED)
    except ValidationError as error:
        raise Unreadable(f"settings of {entry.injector}: {_first(error)}") from None
    target = entry.member
    ports = {service: _address(text) for service, text in target.ports.items()}
    member = Member(target.name, target.role, target.container_id, RunState.RUNNING, ports)
    return Deed(entry, injector, member)


_ENTRY = TypeAdapter(Entry)


@cache
def _settings(cls: type[Injector]) -> TypeAdapter[Injector]:
    return TypeAdapter(cls)


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return Address(host, int(port))


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
