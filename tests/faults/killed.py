"""The command, killed before its first change of a file or an object whose path matches: `... PATTERN run columns.yaml ...`."""

from __future__ import annotations

import os
import re
import signal
import sys

from pipeline.command.cli import main
from tests.faults.injection import before_changes

if __name__ == "__main__":
    wanted = re.compile(sys.argv.pop(1))
    with before_changes("", lambda _, path: os.kill(os.getpid(), signal.SIGKILL) if wanted.search(path) else None):
        main()
