"""What the recorder is measured against: mitmdump with a tee that streams and keeps nothing."""

from mitmproxy import http


class Tee:
    def __init__(self) -> None:
        self.seen_bytes = 0

    def _pass(self, chunk: bytes) -> bytes:
        self.seen_bytes += len(chunk)
        return chunk

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        flow.request.stream = self._pass

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        assert flow.response is not None
        flow.response.stream = self._pass


addons = [Tee()]
