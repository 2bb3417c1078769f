"""Peak memory, in a process of its own."""

import subprocess
import sys

import pytest

# Not getrusage: its ru_maxrss starts at the parent's size, and so hides a rise behind a large pytest.
CODE = """
import pathlib, re
def peak():
    return 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1])
{before}
start = peak()
{code}
print("bytes", peak() - start)
"""


def rise(before: str, code: str) -> int:
    """Bytes by which `code` raises the peak, Python source after `before`, which should have made all that is made once."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    run = [sys.executable, "-c", CODE.format(before=before, code=code)]
    out = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    return int(out.split("bytes")[1])
