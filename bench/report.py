"""Tables and JSON of a benchmark: medians, their spread, and ratios within one run."""

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table


def parser_for(name: str, doc: str) -> argparse.ArgumentParser:
    """Of the options of a benchmark; its `--help` says what it does and what the defaults are."""
    return argparse.ArgumentParser(
        prog=f"bench {name}",
        description=doc,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured thing: A against B, each the values of all rounds, in the unit named."""

    name: str
    unit: str
    ours: Sequence[float]
    rival: Sequence[float] | None = None
    goal: float | None = None  # of the ratio; of our median where it is absolute or has no rival
    goal_is_floor: bool = False  # higher is better
    goal_is_absolute: bool = False

    @property
    def ratio(self) -> float | None:
        """Ours over the rival's, the median of the ratios round by round."""
        if self.rival is None:
            return None
        return statistics.median(a / b for a, b in zip(self.ours, self.rival, strict=True))

    @property
    def holds(self) -> bool | None:
        if self.goal is None:
            return None
        absolute = self.goal_is_absolute or self.ratio is None
        value = statistics.median(self.ours) if absolute else self.ratio
        assert value is not None
        return value >= self.goal if self.goal_is_floor else value <= self.goal


def machine() -> dict[str, Any]:
    return {
        "python": sys.version.split()[0],
        "system": platform.platform(),
        "cores": _cores(),
        "load": [round(value, 1) for value in os.getloadavg()],  # more than the cores: others too
    }


def _cores() -> int | None:
    return os.cpu_count()


def show(title: str, figures: Sequence[Figure]) -> None:
    """The table to the terminal, and one line of JSON behind it."""
    table = Table(title=title)
    for column in ("figure", "unit", "ours", "rival", "ratio", "spread of ours", "goal", ""):
        table.add_column(column, justify="left" if column in ("figure", "unit", "") else "right")
    for figure in figures:
        table.add_row(*_row(figure))
    Console(width=130).print(table)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {_cores()} cores")
    rows = [
        {**msgspec.to_builtins(figure), "ratio": figure.ratio, "holds": figure.holds}
        for figure in figures
    ]
    print(msgspec.json.encode({"bench": title, "machine": machine(), "figures": rows}).decode())


def _row(figure: Figure) -> tuple[str, ...]:
    low, high = min(figure.ours), max(figure.ours)
    sign = ">=" if figure.goal_is_floor else "<="
    return (
        figure.name,
        figure.unit,
        f"{statistics.median(figure.ours):.3g}",
        f"{statistics.median(figure.rival):.3g}" if figure.rival is not None else "",
        f"{figure.ratio:.3f}" if figure.ratio is not None else "",
        f"{low:.3g} - {high:.3g}",
        f"{sign} {figure.goal:g}" if figure.goal is not None else "",
        {True: "holds", False: "MISSED", None: ""}[figure.holds],
    )
