"""A tiny agent: what the tests of `run` start. Its first argument says what it does."""

import os
import select
import signal
import sys
import time
import urllib.request

URL = "https://api.anthropic.com/v1/models"

# Python sees a signal only between two steps: one that comes just before a long wait is seen
# behind it.
LOOK_S = 0.1


def fetch(url=URL):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def call(code="0"):
    """One request; the answer goes to stdout, `code` is the exit code."""
    sys.stdout.buffer.write(fetch())
    sys.stderr.write("agent's own words\n")
    raise SystemExit(int(code))


def fetch_from(url):
    sys.stdout.buffer.write(fetch(url))


def echo():
    """Stdin to stdout."""
    sys.stdout.write(sys.stdin.read().upper())


def environment():
    for name, value in sorted(os.environ.items()):
        print(f"{name}={value}")


def wait_for_signals(*names):
    """Says which of the named signals came, and ends with SIGTERM's code 3."""

    def told(number, _frame):
        # Not `print`: the next signal may come while this one is still written.
        os.write(1, f"got {signal.Signals(number).name}\n".encode())
        if number == signal.SIGTERM:
            raise SystemExit(3)

    for name in names:
        signal.signal(signal.Signals[name], told)
    print("ready", os.getpid(), flush=True)
    while True:
        time.sleep(LOOK_S)


def wait():
    """Until stdin ends, or a signal comes."""
    print("ready", os.getpid(), flush=True)
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        pass
    sys.stdin.read()


def die(name):
    os.kill(os.getpid(), signal.Signals[name])


if __name__ == "__main__":
    {
        function.__name__: function
        for function in (call, fetch_from, echo, environment, wait_for_signals, wait, die)
    }[sys.argv[1]](*sys.argv[2:])
