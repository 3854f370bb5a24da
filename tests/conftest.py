"""Fixtures that every folder of tests may use."""

from browser import chromium

__all__ = ["chromium"]
