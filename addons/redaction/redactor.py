"""The one object that the recorder holds: see `Redactor`."""

from collections.abc import Iterable, Sequence

from addons.redaction import decoders, stream
from addons.redaction.coded import LIMITS, CodedBody, Limits
from addons.redaction.credentials import CredentialBody, Credentials, Endpoints, Result
from addons.redaction.cuts import Fingerprint, Part, Place, Scanned
from addons.redaction.heads import Head, Heads
from addons.redaction.known import Known
from addons.redaction.stream import Body, OpenBody, PlainBody
from storage.records import Header, Side


class Redactor:
    """
    Credentials out, before a byte reaches the disk. One per proxy process.

    All methods belong to one thread (the spool's), save `learn`, which any may call. As records
    reach that thread in order, a head makes its secrets known before its body is scanned. Nothing
    raises on foreign bytes.
    """

    def __init__(
        self,
        key: bytes,
        *,
        enabled: bool = True,
        extra_headers: Iterable[str] = (),
        extra_endpoints: Iterable[str] = (),
        limits: Limits = LIMITS,
    ) -> None:
        self.enabled = enabled
        self._limits = limits
        self._known = Known()
        self._fingerprint = Fingerprint(key)
        self._heads = Heads(self._known, self._fingerprint, extra_headers)
        self._endpoints = Endpoints(extra_endpoints)
        self._credentials = Credentials(self._known, self._fingerprint)

    def learn(self, values: Iterable[bytes]) -> None:
        """Search for these from now on, where they are long enough to be told from text."""
        for value in values:
            self._known.learn(value)

    def request_head(self, target: bytes, headers: Sequence[Header]) -> Head:
        return self._head("request", target, headers)

    def response_head(self, headers: Sequence[Header]) -> Head:
        return self._head("response", b"", headers)

    def _head(self, side: Side, target: bytes, headers: Sequence[Header]) -> Head:
        if not self.enabled:
            return Head(target=target, headers=tuple(headers))
        return self._heads.redact(side, target, headers)

    def finds(self, data: bytes) -> bool:
        """Is anything that is known by now in these bytes?"""
        return self.enabled and bool(self._known.index().present(data))

    def is_credential(self, host: str, target: str) -> bool:
        """Are the bodies of this endpoint credentials, to be kept back until their end?"""
        return self.enabled and self._endpoints.match(host, target)

    def body(
        self,
        side: Side,
        *,
        content_type: str | None = None,
        content_encoding: str | None = None,
        is_credential: bool = False,
    ) -> Body:
        """The scanner for one direction of an entry."""
        if not self.enabled:
            return OpenBody()
        if is_credential:
            return CredentialBody(
                self._credentials, self._fingerprint, side, content_type, content_encoding
            )
        codings = decoders.codings(content_encoding)
        if codings and all(name in decoders.CODINGS for name in codings):
            coding = codings[0] if len(codings) == 1 else None
            return CodedBody(self._known, self._fingerprint, side, coding, self._limits)
        place = Place("request-body" if side == "request" else "response-body")
        unscanned = "unknown_coding" if codings else None
        return PlainBody(self._known, self._fingerprint, place, unscanned=unscanned)

    def credential_body(
        self, side: Side, content_type: str | None, content_encoding: str | None, body: bytes
    ) -> Result:
        """A whole credential body at once."""
        if not self.enabled:
            return Result(data=body)
        return self._credentials.cut(side, content_type, content_encoding, body)

    def message(self, side: Side, index: int, data: bytes) -> Scanned:
        """One WebSocket message, whole. A secret spread over two messages is not found."""
        part: Part = "client-message" if side == "request" else "server-message"
        return self._whole(Place(part, index=index), data)

    def text(self, data: bytes) -> Scanned:
        """The proxy's own words, a close reason, a reason phrase."""
        return self._whole(Place("error"), data)

    def _whole(self, place: Place, data: bytes) -> Scanned:
        if not self.enabled:
            return Scanned(data)
        return stream.whole(data, self._known, self._fingerprint, place)
