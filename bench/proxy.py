"""
Goals 1, 2 and 6: what recording costs, against mitmdump with a bare streaming tee.

Both proxies run at once and are used in turn, round by round in random order; TLS on both sides.
Each answer is checked, so a wrong byte fails the run.
"""

import argparse
import asyncio
import hashlib
import random
import statistics
import tempfile
import time
from pathlib import Path

from bench import load, rivals
from bench.report import Figure, parser_for, show

SMALL = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


def main(arguments: list[str]) -> None:
    parser = parser_for("proxy", __doc__)
    parser.add_argument("--rounds", type=int, default=7, help="each thing once a round, in turn")
    parser.add_argument("--requests", type=int, default=300, help="of each kind per round")
    parser.add_argument(
        "--memory-requests",
        type=int,
        default=5000,
        help="POSTs of 200 KB, whose memory is measured",
    )
    parser.add_argument("--streams", type=int, default=1000, help="open at once")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(Path(folder), options))


def conversation(size_bytes: int) -> bytes:
    """A request body of real text, as an agent's is: sources of the standard library in JSON."""
    text = Path(argparse.__file__).read_text() * (size_bytes // 100_000 + 1)
    filler = text.replace("\\", "/").replace('"', "'").replace("\n", "\\n")
    body = b'{"model":"m","messages":[{"role":"user","content":"' + filler.encode()
    return body[: size_bytes - 4] + b'"}]}'


async def _run(folder: Path, options: argparse.Namespace) -> None:
    provider = load.Provider(folder)
    proxies = [rivals.ours(folder / "ours", provider.ca), rivals.bare(folder / "bare", provider.ca)]
    try:
        figures = await _rounds(provider, proxies, options)
        figures += await _memory(provider, proxies, options)
        _check_recorded(folder / "ours", options)
    finally:
        for proxy in proxies:
            proxy.stop()
        provider.stop()
    show(f"proxy: {options.rounds} rounds of {options.requests} requests", figures)


async def _rounds(
    provider: load.Provider, proxies: list[rivals.Rival], options: argparse.Namespace
) -> list[Figure]:
    large = conversation(200_000)
    seen: dict[str, dict[str, list[float]]] = {}
    for number in range(options.rounds + 1):
        for proxy in random.sample(proxies, len(proxies)):
            values = await _round(provider, proxy, large, options.requests)
            if number:  # the first round warms both up
                for name, value in values.items():
                    seen.setdefault(name, {}).setdefault(proxy.name, []).append(value)
    direct = [
        await _first_event(await _client(provider, None)) for _ in range(max(options.rounds, 5))
    ]
    base = statistics.median(direct)
    delays = [await _delays(await _client(provider, None)) for _ in range(5)]
    added = {
        name: [value - base for value in values]
        for name, values in seen.pop("SSE first event").items()
    }
    seen["SSE first event, added to direct"] = added
    goals = {
        "small POST p50": ("ms", 1.06, False),
        "200 KB POST p50": ("ms", 1.10, False),
        "200 KB POST rate": ("1/s", 0.90, True),
        "200 KB POST CPU": ("ms", 1.15, False),
        "SSE first event, added to direct": ("ms", 1.05, False),
        "SSE burst CPU": ("ms", None, False),
    }
    figures = [
        Figure(
            name=name,
            unit=unit,
            ours=seen[name]["wirescribe"],
            rival=seen[name]["bare tee"],
            goal=goal,
            goal_is_floor=floor,
        )
        for name, (unit, goal, floor) in goals.items()
    ]
    figures += [
        Figure(
            name=name,
            unit="ms",
            ours=seen[name]["wirescribe"],
            rival=seen[name]["bare tee"],
            goal=goal,
            goal_is_absolute=True,
        )
        for name, goal in (("SSE chunk delay p50", 0.25), ("SSE chunk delay p99", 1.0))
    ]
    figures += [
        Figure(name=f"{name}, direct", unit="ms", ours=[one[name] for one in delays])
        for name in delays[0]
    ]
    return figures


def _check_recorded(datadir: Path, options: argparse.Namespace) -> None:
    """A proxy that records nothing would be fast: all large bodies must be in the spool."""
    posts = options.requests * (options.rounds + 1) + options.memory_requests
    spooled = sum(path.stat().st_size for path in datadir.glob("spool/*/*.spool"))
    if spooled < posts * 200_000:
        raise ValueError(f"only {spooled} bytes were spooled of {posts} requests of 200 KB")


async def _client(provider: load.Provider, proxy: rivals.Rival | None) -> load.Client:
    trusted = load.trusting(proxy.ca if proxy else provider.ca)
    return await load.Client(provider.port, trusted, proxy.port if proxy else None).open()


async def _round(
    provider: load.Provider, proxy: rivals.Rival, large: bytes, requests: int
) -> dict[str, float]:
    client = await _client(provider, proxy)
    small = await _posts(client, proxy, SMALL, requests)
    big = await _posts(client, proxy, large, requests)
    first = await _first_event(client)
    delays = await _delays(client)
    before = proxy.cpu_seconds()
    for _ in range(5):
        await client.sse(400, 0)
    burst = (proxy.cpu_seconds() - before) * 1000 / 5
    client.close()
    return {
        "small POST p50": small["p50"],
        "200 KB POST p50": big["p50"],
        "200 KB POST rate": big["rate"],
        "200 KB POST CPU": big["cpu"],
        "SSE first event": first,
        **delays,
        "SSE burst CPU": max(burst, 0.01),
    }


async def _posts(
    client: load.Client, proxy: rivals.Rival, body: bytes, requests: int
) -> dict[str, float]:
    digest = hashlib.sha256(body).hexdigest().encode()
    cpu, started = proxy.cpu_seconds(), time.perf_counter()
    took = [await client.echo(body, digest) for _ in range(requests)]
    elapsed = time.perf_counter() - started
    return {
        "p50": statistics.median(took) * 1000,
        "rate": requests / elapsed,
        "cpu": (proxy.cpu_seconds() - cpu) * 1000 / requests,
    }


async def _delays(client: load.Client) -> dict[str, float]:
    """Of 200 events, one each 2 ms, from the provider's write to the client's read."""
    _, delays = await client.sse(200, 2)
    quantiles = statistics.quantiles([delay * 1000 for delay in delays], n=100)
    return {"SSE chunk delay p50": quantiles[49], "SSE chunk delay p99": quantiles[98]}


async def _first_event(client: load.Client) -> float:
    return statistics.median([(await client.sse(2, 1))[0] * 1000 for _ in range(15)])


async def _memory(
    provider: load.Provider, proxies: list[rivals.Rival], options: argparse.Namespace
) -> list[Figure]:
    large = conversation(200_000)
    digest = hashlib.sha256(large).hexdigest().encode()
    held: dict[str, float] = {}
    per_stream: dict[str, float] = {}
    for proxy in proxies:
        client = await _client(provider, proxy)
        for _ in range(options.memory_requests):
            await client.echo(large, digest)
        client.close()
        held[proxy.name] = proxy.rss_bytes() / 1e6
        per_stream[proxy.name] = await _streams(provider, proxy, options.streams)
    return [
        Figure(
            name=f"RSS after {options.memory_requests} POSTs of 200 KB, more than bare",
            unit="MB",
            ours=[held["wirescribe"] - held["bare tee"]],
            goal=10,
        ),
        Figure(name="the same, bare tee's whole RSS", unit="MB", ours=[held["bare tee"]]),
        Figure(
            name=f"memory per open stream ({options.streams}), more than bare",
            unit="KB",
            ours=[per_stream["wirescribe"] - per_stream["bare tee"]],
            goal=40,
        ),
        Figure(name="the same, bare tee's whole", unit="KB", ours=[per_stream["bare tee"]]),
    ]


async def _streams(provider: load.Provider, proxy: rivals.Rival, count: int) -> float:
    """Growth of the proxy's memory per open stream in KB, while all of them are open."""
    before = proxy.rss_bytes()
    clients = [await _client(provider, proxy) for _ in range(count)]
    running = [asyncio.ensure_future(client.sse(20, 1000)) for client in clients]
    await asyncio.sleep(10)
    grown = proxy.rss_bytes() - before
    await asyncio.gather(*running)
    for client in clients:
        client.close()
    return grown / count / 1000
