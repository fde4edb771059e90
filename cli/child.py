"""
Runs a command as if it had been started without us: its terminal, its signals, its exit code.

It stays in our process group, so the terminal's own signals (^C, ^\\, ^Z, a new window size) reach
it directly. What is sent to us alone is passed on; when it stops, we stop, so that the shell takes
its terminal back.
"""

import os
import shutil
import signal
from collections.abc import Mapping, Sequence

from cli.errors import refuse

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells have it

_PASSED_ON = {
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
}
_AWAITED = _PASSED_ON | {signal.SIGCHLD}
# Python ignores these two, and what is ignored stays so over exec.
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)


def check(command: str) -> None:
    """End with a shell's exit code and a line if `command` cannot be started."""
    if shutil.which(command) is not None:
        return
    if "/" in command and os.path.exists(command):
        refuse(f"{command}: not an executable file", NOT_EXECUTABLE)
    refuse(f"{command}: command not found", NOT_FOUND)


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """
    The exit code of the command, 128 + n if signal n ended it.

    Signals stay blocked in this process afterwards: the command has ended, and what is left to do
    is short.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    try:
        pid = os.posix_spawnp(
            arguments[0], tuple(arguments), environ, setsigmask=before, setsigdef=_RESTORED
        )
    except OSError as error:  # found by `check`, but a script without an interpreter, say
        refuse(f"{arguments[0]} cannot be started: {error.strerror}", NOT_EXECUTABLE)
    while True:
        number = _next_signal(pid)
        if number != signal.SIGCHLD:
            os.kill(pid, number)
            continue
        found, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if found and os.WIFSTOPPED(status):
            _stop_too(pid)
        elif found:
            return _exit_code(status)


def _next_signal(pid: int) -> int:
    """Waits for SIGCHLD, or for a signal that the child has not got already."""
    while True:
        if not hasattr(signal, "sigwaitinfo"):  # macOS
            number = signal.sigwait(_AWAITED)
            if number == signal.SIGCHLD or not _is_terminals(number):
                return number
            continue
        info = signal.sigwaitinfo(_AWAITED)
        # Above 0 the kernel sent it, for the terminal and so to the whole group.
        if info.si_signo == signal.SIGCHLD or info.si_code <= 0:
            return info.si_signo


def _is_terminals(number: int) -> bool:
    """Where no one tells who sent it: with a terminal, its keys are the likelier sender."""
    return number in (signal.SIGINT, signal.SIGQUIT) and os.isatty(0)


def _stop_too(pid: int) -> None:
    if signal.SIGCONT in signal.sigpending():  # we were continued since
        return
    os.kill(os.getpid(), signal.SIGSTOP)
    # Whoever continued us alone means the child as well; for a group it makes no difference.
    os.kill(pid, signal.SIGCONT)


def _exit_code(status: int) -> int:
    if os.WIFSIGNALED(status):
        return 128 + os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
