"""`python -m tests.provider`: the scripted provider by hand, one line per request."""

import argparse
import asyncio
import contextlib

from . import Exchange, Provider, tls


def main() -> None:
    """Serve until ^C."""
    options = _options()
    context = tls.from_files(options.cert, options.key) if options.cert else None
    provider = Provider(
        host=options.host, port=options.port, tls=context, slow_ms=options.slow, observe=_print
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(provider))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.provider", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000, help="0: any free port")
    parser.add_argument("--slow", type=float, default=0, metavar="MS", help="between two events")
    parser.add_argument("--cert", help="PEM file with the certificate chain: serve https")
    parser.add_argument("--key", help="PEM file with its key, if that is another file")
    return parser.parse_args()


async def _serve(provider: Provider) -> None:
    async with provider:
        print(f"scripted provider on {provider.url}", flush=True)
        await asyncio.Event().wait()


def _print(exchange: Exchange) -> None:
    took_ms = ((exchange.ended_ns or exchange.started_ns) - exchange.started_ns) / 1e6
    received = len(exchange.body) + sum(len(m.data) for m in exchange.messages if m.from_client)
    said = sum(len(m.data) for m in exchange.messages if not m.from_client)
    sent = len(exchange.reply_body) + said
    print(
        f"{exchange.number:4} {exchange.kind:8} {exchange.status or '-'} {exchange.outcome:11}"
        f" {exchange.method} {exchange.host}{exchange.target[:100]}"
        f"  {received} B in, {sent} B out, {took_ms:.0f} ms"
        f"{'  ' + exchange.scenario if exchange.scenario else ''}",
        flush=True,
    )


if __name__ == "__main__":
    main()
