"""Sets of ids on disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from reconcile.idsets import Part, fill, missing


def test_differences_in_both_directions_and_repeated_ids(tmp_path: Path) -> None:
    """All counted, a few named, numbers in their order."""
    one = fill(tmp_path / "one", [*map(str, [*range(12), 5, 5, 7]), None, None], 1)
    other = fill(tmp_path / "other", [*map(str, range(0, 12, 3)), "x"], 10)
    assert (one.count, one.repeated, one.without) == (12, Part(2, ("5",)), 2)
    assert (other.count, other.repeated) == (5, Part())
    assert missing(one, other, 4) == Part(8, ("1", "2", "4", "5"))
    assert missing(other, one, 4) == Part(1, ("x",))
    assert missing(one, one, 4) == Part()


def test_nothing_and_any_text(tmp_path: Path) -> None:
    """Empty ids, NUL and other alphabets are ids like others; case counts."""
    odd = ["", "a\0b", "Ä", "ä", "😀", "'", "a'; DROP TABLE ids; --"]
    one, none = fill(tmp_path / "one", odd, 10), fill(tmp_path / "none", [], 10)
    assert none.count == 0
    assert set(missing(one, none, 10).sample) == set(odd)
    assert missing(none, one, 10) == Part()


MEASURE = """
import resource, sys
from pathlib import Path
from reconcile.idsets import fill, missing
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 * 1024 if sys.platform == "darwin" else 1024)
before = peak()
folder, count = Path(sys.argv[1]), int(sys.argv[2])
text = lambda n: f"{n * 2654435761 % 2**32:08x}-0000-4000-8000-{n:012x}"
one = fill(folder / "one", map(text, range(count)), 10)
other = fill(folder / "other", map(text, range(1, count + 1)), 10)
assert missing(one, other, 10).count == missing(other, one, 10).count == 1
print(peak() - before)
"""


def test_memory_does_not_grow_with_their_number(tmp_path: Path) -> None:
    """400,000 UUIDs on each side would be more than 60 MB as a set of texts."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path), "400000"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 40, f"{done.stdout.strip()} MB"
