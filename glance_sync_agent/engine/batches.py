# SPDX-License-Identifier: Apache-2.0
"""Batches of many things."""

from collections.abc import Iterable, Iterator, Sequence
import itertools
from typing import TypeVar

T = TypeVar("T")


def of(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Yield batches of ``size``; the last may be shorter. Python 3.12 has itertools.batched."""
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
