"""Fixtures that every folder of tests may use, and how patient hypothesis is."""

from browser import chromium
from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

__all__ = ["chromium"]
