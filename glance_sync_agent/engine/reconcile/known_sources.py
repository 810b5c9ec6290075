# SPDX-License-Identifier: Apache-2.0
"""The fact about the newest sources of a region."""

from collections.abc import Mapping, Set
import dataclasses
import datetime
import json

from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images

#: By id, the times of creation, in a form that sorts by time.
Ages = Mapping[images.ImageId, str]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class KnownSources:
    """What is remembered of the sources of a region."""

    newest: Ages = dataclasses.field(default_factory=dict)
    missing: frozenset[images.ImageId] = frozenset()  # no message announced their deletion
    listed: Ages = dataclasses.field(default_factory=dict)  # the newest of the last listing
    listed_at: datetime.datetime | None = None  # by the last scan that held nothing back


def parsed(kept: str | None) -> KnownSources:
    """Return what a fact says; nothing if it makes no sense."""
    try:
        values = json.loads(kept or "{}")
        return KnownSources(
            newest=dict(values["newest"]),
            missing=frozenset(values["missing"]),
            listed=dict(values.get("listed", {})),  # older agents wrote none
            listed_at=image_records.time_of(values.get("listed_at")),
        )
    except (KeyError, TypeError, ValueError):  # nothing yet, or edited by hand
        return KnownSources()


def text(known: KnownSources) -> str:
    """Return the value of a fact."""
    values = {
        "newest": known.newest,
        "missing": sorted(known.missing),
        "listed": known.listed,
        "listed_at": known.listed_at and known.listed_at.isoformat(),
    }
    return json.dumps(values)


def compared(known: KnownSources, gone: Set[images.ImageId]) -> KnownSources:
    """Return what is known after a listing.

    :param gone: of those that were known or listed.
    """
    last = max(known.newest.values(), default="")
    latest = {one for one, age in known.newest.items() if age == last}
    missing = (known.missing & gone) | (latest if latest <= gone else set())
    listed = without(known.listed, gone)
    newest = without(known.newest, missing) if missing else listed
    return dataclasses.replace(known, newest=newest, missing=missing, listed=listed)


def without(ages: Ages, image_ids: Set[images.ImageId]) -> Ages:
    """Return the ages of all but some sources."""
    return {one: age for one, age in ages.items() if one not in image_ids}
