"""What child processes and the code within this one print."""

import subprocess
import sys

PROGRAM = """
import os, sys
from tfcourse.processes import silenced

print("before")
with silenced():
    print("within")
    print("within", file=sys.stderr)
    os.system("echo within")
print("behind")
"""


def test_nothing_that_is_printed_within_comes_out_later():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["before", "behind"] and not done.stderr
