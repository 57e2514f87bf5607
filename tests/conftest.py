"""For all tests. The servers come from our own pytest plugin, as they do for users."""

from __future__ import annotations

pytest_plugins = ["pytester"]
