"""The socket thread of one line: it dials, waits, and lives one connection after the other; it decides nothing.

Every socket call is made on the line's own thread; other threads leave an intention with the session and wake it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from lbank_ws.causes import Cause
from lbank_ws.channels import Topic
from lbank_ws.errors import ConnectionLost, DecodeError
from lbank_ws.events import Depth, Ticker
from lbank_ws.feed.clock import Clock, Moment, Waker
from lbank_ws.feed.connection import THREADS, Connection
from lbank_ws.feed.dial import Connect
from lbank_ws.feed.dials import Dials
from lbank_ws.feed.logbook import Logbook
from lbank_ws.feed.reaction import Reaction
from lbank_ws.feed.recorder import Recorder
from lbank_ws.feed.session import Session
from lbank_ws.feed.states import State
from lbank_ws.feed.stream import Limits, Stream
from lbank_ws.feed.submissions import Submission

log = logging.getLogger("lbank_ws")

_LONGEST_WAIT_S = 60.0
_NOTHING = Reaction()

_Answer = TypeVar("_Answer")


class Line:
    """One line. `start` may be called once; every other method from any thread.

    Attributes:
        number: Tells it from the other lines of its client; part of the thread's name.

    Args:
        session: Decides; guarded by this object's lock from now on.
        dials: Tells where and when to dial; shared with the other lines.
        deliver: Takes every reaction that holds something for callbacks, on the socket thread. It must not raise.
        connect: Makes a connected socket.
        clock: Tells time and waits.
        logbook: Hears what happens to the line.
        limits: What the line puts up with.
        recorder: Keeps every frame, or None.
        on_end: Called on the socket thread when it is over.
        on_bad_key: Called on the socket thread with a subscribe key that opens nothing any more; must not wait.
    """

    def __init__(
        self,
        session: Session,
        dials: Dials,
        deliver: Callable[[Reaction], None],
        *,
        connect: Connect,
        clock: Clock,
        logbook: Logbook,
        limits: Limits | None = None,
        recorder: Recorder | None = None,
        on_end: Callable[[], None] | None = None,
        on_bad_key: Callable[[str], None] | None = None,
    ) -> None:
        self.number = session.line
        self._crash: Exception | None = None
        self._session = session
        self._dials = dials
        self._deliver = deliver
        self._connect = connect
        self._clock = clock
        self._limits = limits or Limits()
        self._logbook = logbook
        self._recorder = recorder
        self._on_end = on_end
        self._on_bad_key = on_bad_key
        self._url = ""  # of this connection
        self._opened_s: float | None = None  # when this connection opened
        self._has_heard = False  # it brought a frame
        self._has_worked = False
        self._due_s = 0.0  # before that the session has nothing to do; under the lock, for it may become less
        self._lock = threading.Lock()
        self._waker = Waker()
        # A daemon, so that a name look-up that hangs cannot keep a finished program alive.
        self._thread = threading.Thread(target=self._run, name=f"{THREADS}-{self.number}", daemon=True)

    def start(self) -> None:
        """Begin to dial, on a thread of its own."""
        self._waker.open()
        self._thread.start()

    def ask(self, question: Callable[[Session], _Answer]) -> _Answer:
        """Give the session's answer, under the lock, and let the socket thread act on what follows from it."""
        with self._lock:
            answer = question(self._session)
            self._due_s = 0.0
        self._waker.wake()
        return answer

    def look(self, question: Callable[[Session], _Answer]) -> _Answer:
        """Give the session's answer, under the lock; nothing follows from it for the socket thread."""
        with self._lock:
            return question(self._session)

    def check(self, topics: Sequence[Topic]) -> None:
        """Raise `UsageError` when the line cannot carry these topics beside those that it has."""
        self.look(lambda session: session.subscriptions.checked(*topics))

    def subscribe(self, topics: Sequence[Topic]) -> None:
        """Want these topics on this line."""
        self.ask(lambda session: session.subscribe(*topics))

    def unsubscribe(self, topic: Topic) -> None:
        """Want a topic no more."""
        self.ask(lambda session: session.unsubscribe(topic))

    def current(self, topic: Topic) -> Depth | Ticker:
        """Give the newest good book or price of a topic that this line carries, or raise `Stale`."""
        return self.look(lambda session: session.current(topic, self._clock.now()))

    def looked(self) -> None:
        """Let the session look at the clocks, and act on it."""
        self.ask(lambda session: session.look(self._clock.now()))

    def submit(self, submission: Submission) -> None:
        """Let an order leave over this line; see `Submission`."""
        self._hand_on(self.ask(lambda session: session.submit(submission, self._clock.now())))

    def keyed(self, key: str | None) -> None:
        """Give the session a new subscribe key."""
        self._hand_on(self.ask(lambda session: session.keyed(key, self._clock.now())))

    def account_refused(self, code: int | None, reason: str, advice: str) -> None:
        """Tell the session that there is no subscribe key to be had."""
        self._hand_on(self.ask(lambda session: session.account_refused(code, reason, advice, self._clock.now())))

    def stop(self) -> None:
        """Ask the line to end; returns at once."""
        self._hand_on(self.ask(lambda session: session.stop(self._clock.now())))

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread's end; False when it is still running. On the thread itself: True at once."""
        if self._thread.ident is None or threading.current_thread() is self._thread:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def end(self) -> Exception | None:
        """Give what ended the line for good: the session's own word, or a mistake of this package; None for neither."""
        return self._crash or self._session.ended

    @property
    def state(self) -> State:
        """Where it stands."""
        return self._session.state

    def is_new(self) -> bool:
        """Tell whether it was neither started nor stopped so far."""
        return self._thread.ident is None and self._session.state is State.IDLE

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
            self._crash = crash
        finally:
            self._hand_on(self.look(lambda session: session.given_up()))
            self._waker.close()
            if self._on_end is not None:
                self._on_end()

    def _lost(self, loss: ConnectionLost) -> None:
        _without_stacks(loss)
        self._decide(lambda session, now: session.lost(now, loss))

    def _one_connection(self) -> ConnectionLost:
        """Dial, and live until the line is lost; give the reason."""
        if not self._has_turn():
            return ConnectionLost(Cause.CLOSED, "stopped")
        url = self._url = self._dials.choose(self._clock.now().s)
        self._decide(lambda session, now: session.dialling(urlsplit(url).netloc, now))
        self._opened_s = None
        self._has_heard = self._has_worked = False
        loss = self._lived(url)
        now_s = self._clock.now().s
        if self._opened_s is None:
            self._dials.failed(url, loss, now_s)
        else:
            self._dials.ended(url, loss, now_s, lived_s=now_s - self._opened_s, has_heard=self._has_heard)
        return loss

    def _lived(self, url: str) -> ConnectionLost:
        try:
            sock = self._connect(
                url, clock=self._clock, waker=self._waker, limits=self._limits, is_stopping=self._is_stopping
            )
        except ConnectionLost as loss:
            return loss
        stream = Stream(sock, self._clock, self._waker, self._limits, self._is_stopping)
        try:
            return Connection(url, stream, self).live()
        finally:
            stream.close()

    def _has_turn(self) -> bool:
        """Wait for this line's turn to dial; False when it is to stop."""
        turn_s = self._dials.turn_s(self._clock.now().s)
        while not self._is_stopping():
            left_s = turn_s - self._clock.now().s
            if left_s <= 0:
                return True
            self._clock.wait([self._waker], [], left_s)
            self._waker.calm()
        return False

    # What a live line calls.

    def opened(self) -> Reaction:
        """Tell the session that the line is up."""
        self._opened_s = self._clock.now().s
        return self._decide(lambda session, now: session.opened(now))

    def sent(self, frame: str) -> None:
        """Note that a frame has left."""
        if self._recorder is not None:
            self._recorder.sent(self.number, self._clock.now().ns, frame)

    def received(self, texts: Sequence[bytes], at: Moment | None = None) -> Reaction:
        """Tell the session of frames that came together; replayed ones name the moment at which they did."""
        now = at or self._clock.now()
        self._has_heard = True
        if self._recorder is not None:
            for text in texts:
                self._recorder.received(self.number, now.ns, text)
        frames = _read(texts)
        with self._lock:
            reaction = self._session.heard(frames, now)
            # To find out when something is due costs as much as a message does; so that is done when it may be.
            self._due_s = min(self._due_s, self._session.unchanged_s(now.s))
        self._hand_on(reaction)
        return reaction

    def ticked(self) -> Reaction:
        """Tell the session that time went by."""
        now = self._clock.now()
        lived_s = 0.0 if self._opened_s is None else now.s - self._opened_s
        if not self._has_worked and self._has_heard and lived_s >= self._dials.healthy_s:
            self._has_worked = True
            self._dials.worked(self._url, now.s)
        if now.s < self._due_s:
            return _NOTHING
        with self._lock:
            self._due_s = min(self._session.due_s(), now.s + _LONGEST_WAIT_S)
        return self._decide(lambda session, now: session.tick(now), now) if now.s >= self._due_s else _NOTHING

    def until_s(self) -> float:
        """Tell until when to wait for a frame, on the monotonic clock; whoever makes it earlier wakes the line."""
        return self._due_s

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
            self._due_s = 0.0
        self._hand_on(reaction)
        return reaction

    def _hand_on(self, reaction: Reaction) -> None:
        for status in reaction.statuses:
            self._logbook.status(status)
            if self._recorder is not None:
                self._recorder.marked(self.number, status)
        if reaction.bad_key is not None and self._on_bad_key is not None:
            self._on_bad_key(reaction.bad_key)
        for submission, outcome in reaction.settled:
            submission.on_outcome(outcome)
        if reaction.events or reaction.statuses or reaction.answers or reaction.asked or reaction.faults:
            self._deliver(reaction)

    def _left_s(self) -> float:
        with self._lock:
            due_s = self._session.due_s()
        return min(max(0.0, due_s - self._clock.now().s), _LONGEST_WAIT_S)

    def _is_stopping(self) -> bool:
        return self._session.state in (State.CLOSING, State.CLOSED)


def _without_stacks(loss: BaseException | None) -> None:
    """Take the stacks away from a loss and its causes: whoever keeps it would keep the connection's buffers as well."""
    while loss is not None:
        loss.__traceback__ = None
        loss = loss.__cause__ or loss.__context__


def _read(texts: Sequence[bytes]) -> Sequence[str | DecodeError]:
    """Give the texts of frames, or what is wrong with one."""
    try:
        return [text.decode() for text in texts]
    except UnicodeDecodeError:
        return [_read_one(text) for text in texts]


def _read_one(text: bytes) -> str | DecodeError:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return DecodeError("it is not UTF-8", text.decode(errors="replace"))
