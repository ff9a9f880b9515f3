"""The socket thread of one line: it dials, reads, sends and waits, and decides nothing.

The only home of websocket-client, whose own reconnect, ping and close are never used: the first hides drops and
cannot be stopped, the second cuts healthy LBank lines, the third waits for ten seconds. One `WebSocketApp` serves one
connection. Every socket call is made on the line's own thread; other threads leave an intention with the session and
wake it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import websocket

from lbank_ws.errors import Cause, ConnectionLost, DecodeError, quoted
from lbank_ws.feed.clock import Clock, Moment, Waker
from lbank_ws.feed.dial import Connect
from lbank_ws.feed.logbook import Logbook, silence
from lbank_ws.feed.recorder import Recorder
from lbank_ws.feed.session import Reaction, Session
from lbank_ws.feed.states import State
from lbank_ws.feed.stream import Limits, Stream, closed_by_peer

log = logging.getLogger("lbank_ws")

_THREADS = "lbank-ws-socket"
_LONGEST_WAIT_S = 60.0
_NORMAL = 1000

_Answer = TypeVar("_Answer")


class Connection:
    """One line. `start` may be called once; every other method from any thread.

    Attributes:
        url: Where it dials.
        crash: A mistake of this package that ended the thread, or None.

    Args:
        session: Decides; guarded by this object's lock from now on.
        url: Where to dial.
        deliver: Takes every reaction that holds something for callbacks, on the socket thread. It must not raise.
        connect: Makes a connected socket.
        clock: Tells time and waits.
        logbook: Hears what happens to the line.
        limits: What the line puts up with.
        number: Counts the lines; part of the thread's name.
        recorder: Keeps every frame, or None.
    """

    def __init__(
        self,
        session: Session,
        url: str,
        deliver: Callable[[Reaction], None],
        *,
        connect: Connect,
        clock: Clock,
        logbook: Logbook,
        limits: Limits | None = None,
        number: int = 1,
        recorder: Recorder | None = None,
    ) -> None:
        self.url = url
        self.crash: Exception | None = None
        self._session = session
        self._deliver = deliver
        self._connect = connect
        self._clock = clock
        self._limits = limits or Limits()
        self._host = urlsplit(url).netloc
        self._logbook = logbook
        self._number = number
        self._recorder = recorder
        self._lock = threading.Lock()
        self._waker = Waker()
        # A daemon, so that a name look-up that hangs cannot keep a finished program alive.
        self._has_ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{_THREADS}-{number}", daemon=True)

    def start(self) -> None:
        """Begin to dial, on a thread of its own."""
        self._waker.open()
        self._thread.start()

    def ask(self, question: Callable[[Session], _Answer]) -> _Answer:
        """Give the session's answer, under the lock, and let the socket thread act on what follows from it."""
        with self._lock:
            answer = question(self._session)
        self._waker.wake()
        return answer

    def stop(self) -> None:
        """Ask the line to end; returns at once."""
        self.ask(lambda session: session.stop(self._clock.now()))

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; False when it is still running. On the thread itself: True at once."""
        if self._thread.ident is None or threading.current_thread() is self._thread:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the line's end for good; False when it goes on. Made for the thread that gets Ctrl-C.

        An interrupted `Thread.join` takes its thread for dead, so that one is no good here (Python 3.11).
        """
        return self._has_ended.wait(timeout_s)

    def raise_end(self) -> None:
        """Raise what ended the line for good, if anything did."""
        if self.crash is not None:
            raise self.crash
        if self._session.ended is not None:
            raise self._session.ended

    def is_alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._decide(lambda session, now: session.start(now))
            while (state := self._session.state) is not State.CLOSED:
                if state is State.CONNECTING:
                    self._lost(self._one_connection())
                    continue
                self._clock.wait([self._waker], [], self._left_s())
                self._waker.calm()
                self._decide(lambda session, now: session.tick(now))
        except Exception as crash:  # a mistake of ours must end run() with its traceback, not leave it waiting
            log.exception("the socket thread ended by a mistake of lbank_ws; please report it")
            self.crash = crash
        finally:
            self._waker.close()
            self._has_ended.set()

    def _lost(self, loss: ConnectionLost) -> None:
        self._decide(lambda session, now: session.lost(now, loss))

    def _one_connection(self) -> ConnectionLost:
        """Dial, and live until the line is lost; give the reason."""
        try:
            sock = self._connect(
                self.url, clock=self._clock, waker=self._waker, limits=self._limits, is_stopping=self._is_stopping
            )
        except ConnectionLost as loss:
            return loss
        stream = Stream(sock, self._clock, self._waker, self._limits, self._is_stopping)
        try:
            return _Line(self.url, stream, self).live()
        finally:
            stream.close()

    # What a live line calls.

    def opened(self) -> Reaction:
        """Tell the session that the line is up."""
        return self._decide(lambda session, now: session.opened(now))

    def sent(self, frame: str) -> None:
        """Note that a frame has left."""
        if self._recorder is not None:
            self._recorder.sent(self._number, self._clock.now().ns, frame)

    def received(self, text: bytes, at: Moment | None = None) -> Reaction:
        """Tell the session of a frame; a replayed one names the moment at which it came."""
        now = at or self._clock.now()
        if self._recorder is not None:
            self._recorder.received(self._number, now.ns, text)
        try:
            frame = text.decode("utf-8")
        except UnicodeDecodeError:
            fault = DecodeError("it is not UTF-8", text.decode("utf-8", "replace"))
            return self._decide(lambda session, now: session.unreadable(fault, now), now)
        return self._decide(lambda session, now: session.received(frame, now), now)

    def ticked(self) -> Reaction:
        """Tell the session that time went by."""
        return self._decide(lambda session, now: session.tick(now))

    def until_s(self) -> float:
        """Tell until when to wait for a frame, on the monotonic clock."""
        return self._clock.now().s + self._left_s()

    def is_open(self) -> bool:
        """Tell whether the session still wants this line."""
        return self._session.state is State.OPEN

    @property
    def close_s(self) -> float:
        """How long a polite close may take."""
        return self._session.habits.close_s

    def _decide(self, decision: Callable[[Session, Moment], Reaction], at: Moment | None = None) -> Reaction:
        with self._lock:
            reaction = decision(self._session, at or self._clock.now())
        self._hand_on(reaction)
        return reaction

    def _hand_on(self, reaction: Reaction) -> None:
        for status in reaction.statuses:
            self._logbook.status(self._host, status)
            if self._recorder is not None:
                self._recorder.marked(self._number, status)
        if reaction.events or reaction.statuses or reaction.faults:
            self._deliver(reaction)

    def _left_s(self) -> float:
        with self._lock:
            due_s = self._session.due_s()
        return min(max(0.0, due_s - self._clock.now().s), _LONGEST_WAIT_S)

    def _is_stopping(self) -> bool:
        return self._session.state in (State.CLOSING, State.CLOSED)


class _App(websocket.WebSocketApp):
    """A `WebSocketApp` that waits for frames the way its line does.

    The library asks `create_dispatcher` for the object that reads and sends; it would make one that cannot be woken.
    """

    def __init__(self, line: _Line, url: str, stream: Stream) -> None:
        super().__init__(url, on_data=line.note_frame, on_error=line.note_error, socket=stream)  # type: ignore[arg-type]  # all of a socket that it uses
        self._line = line

    def create_dispatcher(self, *_: object) -> _Line:  # type: ignore[override]  # it is what the library calls a dispatcher
        """Give the object that reads and sends."""
        return self._line


class _Line:
    """One connection's life, from the handshake to its end.

    The library's callbacks only note what came, because it swallows what they raise.
    """

    def __init__(self, url: str, stream: Stream, connection: Connection) -> None:
        self._stream = stream
        self._connection = connection
        self._app = _App(self, url, stream)
        self._frame: bytes | None = None
        self._has_opened = False
        self._loss: ConnectionLost | None = None

    def live(self) -> ConnectionLost:
        """Shake hands and read until the end; give the reason for it."""
        # The library would send the origin of a browser page; the exchange asks for none.
        self._app.run_forever(skip_utf8_validation=True, suppress_origin=True)
        return self._loss or ConnectionLost(Cause.BROKEN, "the connection ended without a reason")

    # What the library calls.

    def read(self, _sock: object, read_frame: Callable[[], bool], _check: object) -> None:
        """Read frames until the line ends; called once hands are shaken."""
        self._has_opened = True
        try:
            self._act(self._connection.opened())
            while self._connection.is_open():
                if self._stream.ready(self._connection.until_s()):
                    if not read_frame():
                        return
                    self._hand_in()
                self._act(self._connection.ticked())
            self._say_goodbye()
        except ConnectionLost as loss:
            self._end(loss)

    def send(self, _sock: object, payload: bytes) -> int:
        """Send the bytes of a frame."""
        return self._stream.send(payload)

    def note_frame(self, _app: object, payload: bytes, opcode: int, _fin: object) -> None:
        """Keep a whole message until the library has returned."""
        self._stream.message_ended()
        # A message in fragments comes with the opcode of its last one, which says neither text nor binary.
        self._frame = payload if opcode != websocket.ABNF.OPCODE_BINARY else b"(a binary frame)"

    def note_error(self, _app: object, error: object) -> None:
        """Keep the reason for the end; the first one counts."""
        if isinstance(error, ConnectionLost):
            self._end(error)
        elif hasattr(error, "status_code") and hasattr(error, "reason"):
            self._end(closed_by_peer(error.status_code, error.reason))
        elif self._has_opened:
            self._end(ConnectionLost(Cause.BROKEN, f"not WebSocket: {quoted(str(error))}"))
        else:
            self._end(ConnectionLost(Cause.HANDSHAKE, f"not WebSocket: {quoted(str(error))}"))

    # How it is done.

    def _hand_in(self) -> None:
        frame, self._frame = self._frame, None
        if frame is not None:
            self._act(self._connection.received(frame))

    def _act(self, reaction: Reaction) -> None:
        for frame in reaction.send:
            self._app.send_text(frame)
            self._connection.sent(frame)
        if reaction.hang_up is not None:
            raise reaction.hang_up

    def _say_goodbye(self) -> None:
        self._loss = ConnectionLost(Cause.CLOSED, "stopped")
        within_s = self._connection.close_s
        self._stream.closing(within_s)
        self._app.close(status=_NORMAL, timeout=within_s)

    def _end(self, loss: ConnectionLost) -> None:
        self._loss = self._loss or loss
        # Else the library would wait three seconds for an answer to its own goodbye.
        self._stream.break_off()


# The library logs every end of a line as an error, with the answer's body; our own log says it once, masked.
silence("websocket", _THREADS)
