"""`uv run python -m bench` lists the benchmarks; `uv run python -m bench NAME` runs one."""

import importlib
import sys

BENCHES = {
    "proxy": "goals 1, 2, 6: what recording costs, against a bare tee in mitmdump",
    "bodies": "goals 3, 4, 5: what long sessions cost on the disk, writing and reading them",
    "start": "goal 9: what `wirescribe run` adds before an agent's first request and at its end",
    "decode": "how fast the wire formats are read, against parsing their JSON alone",
    "ingest": "goal 5: entries and bytes per second into raw and projected tables",
    "read": "goal 7: pages, search and daily sums in a store of many entries and messages",
    "growth": "whether an entry costs the same to bring in, however large the store is",
    "busy": "goal 11: the API and the live feed beside ingest, a rebuild and a deletion",
    "http": "goal 7: pages over HTTP, against a bare ASGI app",
    "peers": "goal 10: requests through Wirescribe, against LiteLLM's proxy",
    "har": "goal 8: a session as HAR, streamed, against building it whole",
}


def main(argv: list[str]) -> int:
    name = argv[0] if argv else "--help"
    if name in BENCHES:
        importlib.import_module(f"bench.{name}").main(argv[1:])
        return 0
    if name not in ("--help", "-h"):
        print(f"there is no benchmark {name!r}; these there are:\n", file=sys.stderr)
    print("usage: python -m bench NAME [OPTIONS]; `NAME --help` says what it does\n")
    for known, text in BENCHES.items():
        print(f"  {known:8} {text}")
    return 0 if name in ("--help", "-h") else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
