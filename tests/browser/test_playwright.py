"""Playwright's `route_from_har` serves the recording again: what a page gets is what was served."""

import base64

import pytest

from tests.har.alteration import altered
from tests.har.served import URL, View, differences

pytestmark = pytest.mark.browser

FETCH = """
async ({method, url, body, headers}) => {
    const bytes = body && Uint8Array.from(atob(body), sign => sign.charCodeAt(0));
    const options = {method, headers, body: bytes, credentials: "omit"};
    let answer;
    try {
        answer = await fetch(url, options);
    } catch {
        return null;
    }
    const got = new Uint8Array(await answer.arrayBuffer());
    let text = "";
    for (let at = 0; at < got.length; at += 32768)
        text += String.fromCharCode(...got.subarray(at, at + 32768));
    const type = answer.headers.get("content-type");
    return {status: answer.status, url: answer.url, type, body: btoa(text)};
}
"""


def replayed(served):
    """What a page can ask for: no sockets, no tunnels, and what was answered."""
    return [
        view for view in served.expected if view.method in ("GET", "POST") and view.status > 101
    ]


class Replay:
    """A page whose every request is answered from a HAR file, or not at all."""

    def __init__(self, context, document, folder):
        path = folder / "replayed.har"
        path.write_bytes(document)
        self.refused = []
        context.route_from_har(path, not_found="abort")
        self._page = context.new_page()
        self._page.on("requestfailed", lambda request: self.refused.append(request.url))
        self._page.goto(f"{URL}/page?first=1")

    @property
    def content(self):
        return self._page.content()

    def ask(self, wanted):
        """The same request again, as a View; None if the file has no answer."""
        got = self._page.evaluate(
            FETCH,
            {
                "method": wanted.method,
                "url": wanted.url,
                "body": base64.b64encode(wanted.request).decode() if wanted.request else None,
                "headers": {},
            },
        )
        if got is None:
            return None
        return View(
            method=wanted.method,
            url=wanted.url,
            status=got["status"],
            response=base64.b64decode(got["body"]),
        )


@pytest.fixture
def replay(context, tmp_path):
    return lambda document: Replay(context, document, tmp_path)


def test_a_page_gets_what_was_served(replay, served):
    page = replay(served.document)
    wanted = replayed(served)

    seen = [page.ask(one) for one in wanted]

    assert page.refused == []
    assert len(seen) == 31
    assert differences([followed(one, served) for one in wanted], seen) == []
    assert "<title>served</title>" in page.content


def followed(view, served):
    """Playwright follows a redirect inside the file, so a page sees where it leads."""
    if view.status != 302:
        return view
    (target,) = [one for one in served.expected if one.url.endswith("/page?redirected=1")]
    return View(method=view.method, url=view.url, status=target.status, response=target.response)


@pytest.mark.parametrize(
    "url_part",
    ["beta=true", "stream=zstd", "seed=gzip", "binary=1", "/latin", "/split", "large=1", "how=cut"],
)
def test_one_altered_byte_of_an_answer_is_noticed(replay, served, url_part):
    page = replay(altered(served, url_part, "response"))
    wanted = served.expected[served.index(url_part)]

    assert differences([wanted], [page.ask(wanted)])


@pytest.mark.parametrize("url_part", ["beta=true", "zipped=1", "binary=1", "large=1"])
def test_a_request_with_one_other_byte_is_not_answered(replay, served, url_part):
    page = replay(altered(served, url_part, "request"))

    assert page.ask(served.expected[served.index(url_part)]) is None
    assert len(page.refused) == 1


def test_a_missing_entry_is_noticed(replay, served):
    at = served.index("/split")
    page = replay(served.altered(lambda har: har["log"]["entries"].pop(at)))

    assert page.ask(served.expected[at]) is None
