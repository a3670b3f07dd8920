"""A terminal in place of stderr."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import sys
import termios
import threading
from typing import TextIO

from tqdm import tqdm

# On Python 3.14 and newer its lock starts a process, which would keep a terminal open that is in
# the place of stderr at that moment.
tqdm.get_lock()


class Terminal:
    """A pseudo-terminal; `stream` is its writing end, and `shown` what was written to it."""

    def __init__(self, columns: int = 100) -> None:
        self._reader, writer = os.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = os.fdopen(writer, "w", encoding="utf-8")
        self._previous: TextIO | None = None
        self._chunks: list[bytes] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def start(self) -> None:
        """Put it in the place of stderr; within a test, since pytest replaces stderr before one."""
        self._previous, sys.stderr = sys.stderr, self.stream

    def _read(self) -> None:
        try:
            while chunk := os.read(self._reader, 1 << 16):
                self._chunks.append(chunk)
        except OSError:
            # The writing end is closed.
            pass

    def close(self) -> str:
        """Close the terminal, and return what was written."""
        if self._previous is not None:
            sys.stderr = self._previous
            self._previous = None
        if not self.stream.closed:
            self.stream.close()
            self._thread.join()
            os.close(self._reader)
        return b"".join(self._chunks).decode()

    def drawings(self) -> list[str]:
        """Close the terminal, and return what was drawn on its lines, one after another."""
        return [each for each in re.split(r"[\r\n]+", self.close()) if each.strip()]
