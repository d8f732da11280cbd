"""Collects what becomes the event of one call, from its start to its end."""

from __future__ import annotations

from time import perf_counter_ns, time_ns
from typing import Any, Final, Protocol

from aftercall.capture.around import CURRENT, session_within
from aftercall.capture.failures import failure_text, is_failure
from aftercall.capture.ids import id_text, new_id
from aftercall.capture.inputs import MOST_CHARACTERS, MOST_TEXT, Input
from aftercall.capture.parts import OBJECT, Parts, parts_of
from aftercall.capture.quiet import quiet
from aftercall.capture.sampling import is_kept
from aftercall.capture.settings import UNKNOWN, Capturing
from aftercall.capture.verification import Verification

_BASE_BYTES: Final = 400
_UNREAD_BYTES: Final = 4096
"""What a response that is held itself is taken to be."""
MOST_JUDGED: Final = 1 << 20
"""Characters of an input, and of an output, that contracts judge: as many as a record may have bytes."""


class Judged(Protocol):
    """One call under contracts, from its start; what it gives the emitter in place of the draft makes the event."""

    @property
    def verification(self) -> Verification:
        """What comes of it."""

    def ended(self, draft: Draft, *, kept: bool) -> None:
        """Take the call over, hand it to the emitter if it is `kept`, and judge it later; on the response path."""


class Judges(Protocol):
    """A guard, as far as capture needs it."""

    @property
    def is_off(self) -> bool:
        """Whether it judges nothing, as every client is switched off."""

    def begin(self) -> Judged:
        """Begin a call; on the response path, so it never raises."""


class Draft:
    """A call in the making. Its methods never raise; those of the response path take references, ids and times.

    Attributes:
        call_id: made at the start, or the caller's.
        declared: fields that the place in code declares; shared by all its calls, never changed.
        place: "file.py:12" of the user's code.
        fields: fields that were set for this call, which win; None: none.
        responses: what was observed.
        tools: as `tool_calls` on the wire. attempts: likewise.
        given: what it was given; one short text as a tuple.
        output: with `capture="text"` or under contracts, the newest response itself.
        judged: the call under the contracts of a guard; None: there are none.
        first_ns: of a stream, until its first chunk.
    """

    __slots__ = (
        "at_ns",
        "attempts",
        "call_id",
        "cancelled",
        "capturing",
        "declared",
        "ended",
        "error",
        "fields",
        "first_ns",
        "given",
        "judged",
        "latency_ns",
        "output",
        "parent_id",
        "place",
        "responses",
        "session_id",
        "started_ns",
        "tools",
    )

    def __init__(
        self,
        capturing: Capturing,
        declared: dict[str, Any],
        place: str,
        call_id: object = None,
        judged: Judged | None = None,
    ) -> None:
        self.call_id = id_text(call_id) or new_id()
        self.judged = judged
        self.capturing = capturing
        self.declared = declared
        self.place = place
        parent = CURRENT.get()
        self.parent_id = None if parent is None else parent.call_id
        self.session_id = declared.get("session_id") or session_within(parent)
        self.fields: dict[str, Any] | None = None
        if call_id is not None and id_text(call_id) is None:
            self.fields = {UNKNOWN: ("call_id",)}
        self.responses: list[Parts] | None = None
        self.tools: list[dict[str, Any]] | None = None
        self.attempts: list[dict[str, Any]] | None = None
        self.given: Input | tuple[str] | None = None
        self.output: Any = None
        self.error: str | None = None
        self.first_ns: int | None = None
        self.latency_ns = self.at_ns = 0
        self.cancelled = self.ended = False
        self.started_ns = perf_counter_ns()

    @quiet
    def set(self, fields: dict[str, Any], unknown: dict[str, object]) -> None:
        """Set fields of the event; labels in `attrs` are added to those that are there."""
        if self.ended:
            return
        if self.fields is None:
            self.fields = {}
        attrs = fields.pop("attrs", None)
        if attrs is not None:
            self.fields["attrs"] = {**self.fields.get("attrs", {}), **attrs}
        self.fields.update(fields)
        if "session_id" in fields:
            self.session_id = fields["session_id"]
        if unknown:
            self.fields[UNKNOWN] = tuple(unknown)

    @quiet
    def observe(self, response: object) -> None:
        """Take from a response what says which model answered and what it used."""
        if self.ended:
            return
        if self.capturing.text or self.judged is not None:
            self.output = response
        parts = parts_of(response)
        if parts is not None:
            self.add_parts(parts)

    def add_parts(self, parts: Parts) -> None:
        """Take parts of a response."""
        if self.responses is None:
            self.responses = [parts]
        else:
            self.responses.append(parts)

    @quiet
    def add_attempt(self, attempt: dict[str, Any]) -> None:
        """Take a try at a model that has ended."""
        if self.ended:
            return
        if self.attempts is None:
            self.attempts = []
        self.attempts.append(attempt)

    @quiet
    def add_tool(self, tool: dict[str, Any]) -> None:
        """Take a tool call that has ended; it failed where it has an `error`."""
        if self.ended:
            return
        if not tool.pop("cancelled", False):
            tool.setdefault("ok", tool.get("error") is None)
        if self.tools is None:
            self.tools = []
        self.tools.append(tool)

    @quiet
    def take(self, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Take what the call was given, if anything, where it is hashed or sent."""
        if not (self.capturing.input_hash or self.most_text):
            return
        most = self.most_text or MOST_CHARACTERS
        if not named and len(given) == 1 and type(given[0]) is str and len(given[0]) <= most:
            self.given = given  # as it is: each object that is held brings the next run of the collector nearer
        elif given or named:
            self.given = Input(given, named, most)

    def input(self) -> Input | None:
        """What it was given, as it is hashed, sent and judged."""
        given = self.given
        return Input(given, {}, self.most_text or MOST_CHARACTERS) if isinstance(given, tuple) else given

    @property
    def most_text(self) -> int:
        """So many characters of an input or an output are held; 0: none, as they are neither sent nor judged."""
        if self.judged is not None:
            return MOST_JUDGED + 1  # one more shows that there are more
        return MOST_TEXT if self.capturing.text else 0

    @quiet
    def fail(self, error: BaseException, given: tuple[Any, ...] = (), named: dict[str, Any] | None = None) -> None:
        """End with an exception: a failure, or the call was cancelled.

        What the call was given is not sent: it is what the text of the exception may quote.
        """
        if is_failure(error):
            self.error = failure_text(error)
            if self.given is None and (given or named):
                self.given = quoted = Input(given, named or {})
                quoted.whole = False  # no hash of it is wanted
        elif not isinstance(error, StopIteration | StopAsyncIteration):
            self.cancelled = True
        self.end()

    @quiet
    def leave(self, ended_ns: int | None = None, at_ns: int | None = None) -> None:
        """End as cancelled, where the call has not ended."""
        if not self.ended:
            self.cancelled = True
            self.end(ended_ns, at_ns)

    @quiet
    def end(self, ended_ns: int | None = None, at_ns: int | None = None) -> None:
        """Hand the call to the emitter; only the first end counts.

        Args:
            ended_ns: by the monotonic clock; default: now.
            at_ns: since 1970; default: now.
        """
        if self.ended:
            return
        self.ended = True
        self.latency_ns = (perf_counter_ns() if ended_ns is None else ended_ns) - self.started_ns
        self.at_ns = time_ns() if at_ns is None else at_ns
        capturing = self.capturing
        kept = capturing.sink is not None and (capturing.sample >= 1.0 or is_kept(self.call_id, capturing.sample))
        if self.judged is not None:
            self.judged.ended(self, kept=kept)
        elif kept and capturing.sink is not None:
            # The draft itself, not a method of it: each object that is held until then brings the next run of the
            # collector of cycles nearer, and at five for each call that was 1 % of calls.
            capturing.sink.emit("calls", self.call_id, self, self.size(), place=self.place)

    def size(self) -> int:
        """An estimate of what is held until the event is made, in bytes."""
        held = _BASE_BYTES
        if self.given is not None:
            held += self.given.characters if isinstance(self.given, Input) else len(self.given[0])
        if self.responses is not None:
            held += sum(_UNREAD_BYTES if OBJECT in parts else _BASE_BYTES for parts in self.responses)
        if self.tools is not None:
            held += _BASE_BYTES * len(self.tools)
        if self.output is not None:
            held += len(self.output) if type(self.output) is str else _UNREAD_BYTES
        return held

    def __call__(self) -> dict[str, Any]:
        """Make the event; on the sender thread."""
        from aftercall.capture.event import call_event

        return call_event(self)
