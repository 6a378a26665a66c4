"""A terminal driver that survives what terminals and logouts send.

Textual 8.2.8 ends with a traceback on bytes that are no UTF-8 and on old (X10) mouse reports, and
leaves the alternate screen open after SIGTERM and SIGHUP; it spins when the terminal is gone. A
logout and a re-attach over SSH or tmux produce all of these.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import sys
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, Any, TextIO

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App

_ENDINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_X10_REPORT = re.compile(rb"\x1b\[M[\x00-\xff]{3}")
_UNFINISHED = re.compile(rb"\x1b\[(M[\x00-\xff]{0,2})?\Z")


class LegacyMouse:
    """Takes old mouse reports (ESC [ M and three bytes, any bytes) out of a stream of chunks."""

    def __init__(self) -> None:
        self._held = b""

    def strip(self, data: bytes) -> bytes:
        """The chunk without the reports; an unfinished one waits for the next chunk."""
        data = _X10_REPORT.sub(b"", self._held + data)
        unfinished = _UNFINISHED.search(data)
        self._held = unfinished.group() if unfinished else b""
        return data[: len(data) - len(self._held)]


class _Output:
    """The terminal as a file: what it cannot encode becomes ``?``, and once it is gone, nothing."""

    def __init__(self, stream: TextIO) -> None:
        self._file = open(  # noqa: SIM115  (lives as long as the process)
            stream.fileno(), "w", encoding="utf-8", errors="replace", newline="", closefd=False
        )
        self._gone = False

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> None:
        self._try(self._file.write, text)

    def flush(self) -> None:
        self._try(self._file.flush)

    def _try(self, act: Any, *args: str) -> None:
        # Without this the writer thread dies on EIO and the application waits for it for ever.
        if not self._gone:
            try:
                act(*args)
            except OSError:
                self._gone = True


class SturdyDriver(LinuxDriver):
    """`LinuxDriver` that reads any bytes and gives the terminal back on every way out."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._file = _Output(sys.__stdout__ or sys.stdout)  # type: ignore[assignment]

    def start_application_mode(self) -> None:
        """Take the terminal, and from now on leave in order when told to end."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        for number in _ENDINGS:
            self._loop.add_signal_handler(number, self._leave, 128 + number)

    def stop_application_mode(self) -> None:
        """Give the terminal back; a second signal ends the process the hard way."""
        super().stop_application_mode()
        for number in _ENDINGS:
            self._loop.remove_signal_handler(number)

    def _leave(self, code: int) -> None:
        self._app.exit(return_code=code)

    def run_input_thread(self) -> None:
        """Read input until the application ends or the terminal is gone."""
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")(errors="replace").decode
        mouse = LegacyMouse()
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                if selector.select(0.1):
                    data = self._read()
                    if not data:
                        self._loop.call_soon_threadsafe(self._leave, 128 + signal.SIGHUP)
                        return
                    for character in decode(mouse.strip(data)):
                        try:
                            events = list(parser.feed(character))
                        except Exception:  # noqa: BLE001  (no key is worth the session)
                            parser = XTermParser(self._debug)
                            continue
                        for event in events:
                            self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 4096)
        except OSError:
            return b""
