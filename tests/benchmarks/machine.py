"""The machine and the versions that figures belong to. No names: neither the host's nor paths."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil

PACKAGES: Final = ["apache-beam", "tensorflow", "tensorflow-transform", "tfx-bsl", "pyarrow", "numpy", "polars"]


def description() -> str:
    """Returns processor, cores, memory, system and versions in a line."""
    memory = f"{psutil.virtual_memory().total / 1e9:.0f} GB of memory"
    system = f"{platform.system()}, Python {platform.python_version()}"
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"{_processor()}, {psutil.cpu_count()} cores, {memory}; {system}; {packages}"


def _processor() -> str:
    """Returns the model, with the figures that tell apart what goes by one name."""
    path = Path("/proc/cpuinfo")
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = {name: re.search(rf"^{name}\s*: (.+)$", text, re.MULTILINE) for name in ("model name", "model", "cpu MHz")}
    name, model, speed = (match[1] if match else "" for match in found.values())
    if not name:
        return platform.machine()
    return f"{name} (model {model}, {float(speed or 0) / 1000:.1f} GHz)"
