"""What the operating system says of this machine: for stores that run here and cannot tell themselves. Linux only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconcile.checkup import Check, Topic, Verdict, limited, share
from reconcile.units import size

HERE = ("127.0.0.1", "::1", "localhost")
"""Hosts that are this machine, unless a tunnel or a container's port stands there."""


@dataclass(frozen=True)
class Machine:
    """What is known of the machine that a server runs on; None for what is not told."""

    memory: int | None = None
    """In bytes, as is the free part of it."""
    free_memory: int | None = None
    load: float | None = None
    """Processes that run or wait for a processor: the last minute's average."""
    processors: int = 1


def look(here: bool = True, proc: Path = Path("/proc")) -> Machine:
    """This machine now, if it is the one; else nothing is known."""
    if not here:
        return Machine()
    try:
        lines = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines() if ":" in line)
        total, free = (int(lines[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
        load = float((proc / "loadavg").read_text().split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return Machine()
    return Machine(total, free, load, os.cpu_count() or 1)


def free_disk(folder: str) -> int | None:
    """Bytes free where a server of this machine says its data is; None where that folder is not here."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


_UNITS = {"kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


def bytes_of(size: str) -> int:
    """An amount of a setting in bytes.

    >>> bytes_of("2GB"), bytes_of("512MB")
    (2147483648, 536870912)
    """
    for unit, factor in _UNITS.items():
        if size.endswith(unit):
            return int(float(size.removesuffix(unit)) * factor)
    return int(size)


_DURATIONS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def seconds_of(duration: str) -> float:
    """A duration of a setting in seconds.

    >>> seconds_of("5min"), seconds_of("30 s"), seconds_of("0s")
    (300.0, 30.0, 0.0)
    """
    number = duration.rstrip("abcdefghijklmnopqrstuvwxyz ")
    return float(number) * _DURATIONS[duration[len(number) :].strip() or "s"]


FREE_DISK, FREE_MEMORY, CPU_PERCENT, MEMORY_PERCENT = "2GB", "1GB", 80, 90
"""What is told where `limits:` of a store says nothing else."""


def checks(limits: Mapping[str, object], machine: Machine, disk: int | None, size_said: str = "") -> Iterator[Check]:
    """Disk, memory and processors of the machine a server runs on, held against `limits:` of its store.

    Args:
        disk: bytes free where the data is; None where nobody tells.
        size_said: what is known of the size of the data, for the same line.
    """
    after = f"; {size_said}" if size_said else ""
    if disk is None:
        yield _untold(Topic.DISK, f"the server does not tell how much disk is free{after}", limits, "free_disk")
    else:
        low = disk < bytes_of(str(limits.get("free_disk", FREE_DISK)))
        yield limited(Topic.DISK, f"{size(disk)} free{after}", low, "free_disk", limits, default=FREE_DISK)
    if machine.free_memory is None or machine.memory is None:
        yield _untold(Topic.MEMORY, "the server does not tell", limits, "free_memory", "memory_percent")
    else:
        low = machine.free_memory < bytes_of(str(limits.get("free_memory", FREE_MEMORY)))
        told = f"{size(machine.free_memory)} of {size(machine.memory)} free"
        yield limited(Topic.MEMORY, told, low, "free_memory", limits, default=FREE_MEMORY)
        used = 100 * (1 - machine.free_memory / machine.memory)
        full = used > float(str(limits.get("memory_percent", MEMORY_PERCENT)))
        told = f"{used:.0f} % used"
        yield limited(Topic.MEMORY, told, full, "memory_percent", limits, default=MEMORY_PERCENT, used=share(used))
    if machine.load is None:
        yield _untold(Topic.LOAD, "the server does not tell of its processors", limits, "cpu_percent")
    else:
        percent = 100 * machine.load / machine.processors
        busy = percent > float(str(limits.get("cpu_percent", CPU_PERCENT)))
        many = f"{machine.processors} processors" if machine.processors > 1 else "1 processor"
        told = f"{many}, {machine.load:.1f} processes want one: {percent:.0f} %"
        yield limited(Topic.LOAD, told, busy, "cpu_percent", limits, default=CPU_PERCENT, used=share(percent))


def _untold(topic: Topic, what: str, limits: Mapping[str, object], *keys: str) -> Check:
    """A declared limit that cannot be held against anything is said to be one."""
    declared = [key for key in keys if key in limits]
    hint = f"`limits: {{{', '.join(declared)}}}` of the store was not looked at" if declared else None
    return Check(topic, Verdict.UNKNOWN, what, hint)
