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


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHES:
        print("usage: python -m bench NAME [OPTIONS]\n")
        for name, text in BENCHES.items():
            print(f"  {name:8} {text}")
        return 0 if len(sys.argv) < 2 else 2
    importlib.import_module(f"bench.{sys.argv[1]}").main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
