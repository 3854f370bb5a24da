"""The proof that restarts the container engine comes last: whatever runs beside it would be hit, too."""

from __future__ import annotations

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name == "test_engine_restart.py")
