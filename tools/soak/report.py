# SPDX-License-Identifier: Apache-2.0
"""The output: a line a minute, and the summary."""

from collections import Counter
from collections.abc import Iterable, Iterator
import dataclasses

from tools.soak import events as recording
from tools.soak import weights


@dataclasses.dataclass(kw_only=True)
class Summary:
    """The results of a run."""

    seed: int
    minutes: float  # of users and faults
    converged_seconds: float | None = None  # since the last fault; None: it did not converge
    foreign: int = 0  # images of others that were compared byte for byte
    theirs: int = 0  # images that users made from copies
    touched: int = 0  # those that anybody else changed at any time
    left: int = 0  # files that a killed Glance left behind


def progress(events: recording.Events, images: int) -> str:
    """Return the line of a minute."""
    done = _totals(events, weights.OPERATIONS)
    broken = _totals(events, _faults())
    asked = _totals(events, _requests())
    return (
        f"{events.seconds / 60:5.1f} min: {done.total()} operations, {broken.total()} faults, "
        f"{asked.total()} requests of operators, "
        f"{images} images so far, {len(events.violations)} violations"
    )


def lines(summary: Summary, events: recording.Events) -> Iterator[str]:
    """Return the summary."""
    yield f"seed                  {summary.seed}"
    yield f"minutes               {summary.minutes:.1f}"
    yield from _table("operations", events, weights.OPERATIONS)
    yield from _table("faults", events, _faults())
    yield from _table("requests of operators", events, _requests())
    noted = {kind for kind, outcome in events.counts if outcome == "noted"}
    if noted:
        yield from _table("noted", events, sorted(noted))
    seconds = summary.converged_seconds
    yield f"seconds to converge   {'never' if seconds is None else f'{seconds:.1f}'}"
    yield f"foreign images read   {summary.foreign}"
    yield f"images of users       {summary.theirs} seen, {summary.touched} touched"
    yield f"left by dead Glances  {summary.left}"
    yield f"violations            {len(events.violations)}"
    for number, text in enumerate(events.violations, 1):
        yield f"  {number}. {text}"


def _table(title: str, events: recording.Events, kinds: Iterable[str]) -> Iterator[str]:
    totals = _totals(events, kinds)
    yield f"{title:<21} {totals.total()}"
    for kind, total in totals.items():
        others = [
            f"{count} {outcome}"
            for (found, outcome), count in sorted(events.counts.items())
            if found == kind and outcome not in {"done", "noted"}
        ]
        yield f"  {kind:<25} {total:>5}" + (f"  ({', '.join(others)})" if others else "")


def _totals(events: recording.Events, kinds: Iterable[str]) -> Counter[str]:
    wanted = Counter(dict.fromkeys(kinds, 0))
    for (kind, _outcome), count in events.counts.items():
        if kind in wanted:
            wanted[kind] += count
    return wanted


def _faults() -> list[str]:
    return [kind for kinds in weights.FAULTS.values() for kind in kinds]


def _requests() -> list[str]:
    return [kind for kinds in weights.OPERATORS.values() for kind in kinds]
