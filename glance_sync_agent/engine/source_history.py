# SPDX-License-Identifier: Apache-2.0
"""What proves that a source was deleted, where no message said so."""

from collections.abc import Callable, Sequence
import datetime

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

_FACT = "newest source of "
_HELD = "held"


class MissingSources:
    """Remembers since when sources are missing. They count as deleted after a grace period."""

    def __init__(
        self,
        *,
        note: Callable[[tasks.Task, datetime.datetime | None], None],
        clock: ports.Clock,
        grace_seconds: Callable[[], float],
    ) -> None:
        """Keep the parts.

        :param note: writes since when the source of a task is missing; None: it is there.
        """
        self._note = note
        self._clock = clock
        self._grace = grace_seconds

    def is_deleted(self, rows: Sequence[tasks.Task]) -> bool:
        """Tell whether a source has been missing for long enough, and take note of it.

        :param rows: the tasks of one source, which is missing now.
        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        known = [row.missing_since for row in rows if row.missing_since is not None]
        since = min(known, default=now)
        for row in rows:
            if row.missing_since is None:
                self._note(row, since)
        return now - since >= datetime.timedelta(seconds=self._grace())

    def found(self, rows: Sequence[tasks.Task]) -> None:
        """Take note of sources that are there.

        :raises ServiceUnavailable: the database does not answer.
        """
        for row in rows:
            if row.missing_since is not None:
                self._note(row, None)


def noting(store: ports.TaskStore) -> Callable[[tasks.Task, datetime.datetime | None], None]:
    """Return what writes into the rows since when a source is missing."""

    def note(row: tasks.Task, since: datetime.datetime | None) -> None:
        store.note_missing(row.key.image_id, [row.key.region], since)

    return note


class NewestSources:
    """Remembers the newest source of each region, to notice a Glance that lost the last ones.

    That of a region goes back if its Glance was restored from a backup. It goes back as well
    when the newest image is deleted, but then a message says so.
    """

    def __init__(self, facts: ports.Facts) -> None:
        self._facts = facts

    def went_back(self, region: images.RegionId, newest: images.Image | None) -> bool:
        """Tell whether the newest source of a region went back, now or since it was accepted.

        :param newest: of all that there are; None: there is none with a time.
        :raises ServiceUnavailable: the database does not answer.
        """
        age, image_id, is_held = self._known(region)
        if newest is not None and newest.image_id == image_id:
            return False
        return is_held or (bool(image_id) and (newest is None or _age(newest) < age))

    def hold(self, region: images.RegionId) -> None:
        """Take note that it went back, until :meth:`remember`. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """
        age, image_id, is_held = self._known(region)
        if not is_held:
            self._put(region, age, image_id, _HELD)

    def remember(self, region: images.RegionId, newest: images.Image | None) -> None:
        """Take note of the newest source of a region. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """
        wanted = ("", "") if newest is None else (_age(newest), newest.image_id)
        if self._known(region) != (*wanted, False):
            self._put(region, *wanted)

    def deleted(self, region: images.RegionId, image_id: images.ImageId) -> None:
        """Take note that a message told of a deletion.

        :raises ServiceUnavailable: the database does not answer.
        """
        _, known_id, is_held = self._known(region)
        if known_id == image_id and not is_held:
            self._put(region)

    def _known(self, region: images.RegionId) -> tuple[str, str, bool]:
        """Return time and id of the newest source, and whether a region is held."""
        parts = (self._facts.get(_FACT + region) or "").split()
        age, image_id = parts[:2] if len(parts) > 1 else ("", "")
        return age, image_id, _HELD in parts

    def _put(self, region: images.RegionId, *parts: str) -> None:
        self._facts.put(_FACT + region, " ".join(parts).strip())


def _age(image: images.Image) -> str:
    """Return the time that an image was created, in a form that sorts by time."""
    return image.created_at.isoformat() if image.created_at is not None else ""


def newest_of(pages: Sequence[images.Image], before: images.Image | None) -> images.Image | None:
    """Return the image that was created last; None: none says when it was."""
    dated = [one for one in (*pages, before) if one is not None and one.created_at is not None]
    return max(dated, key=lambda one: (_age(one), one.image_id), default=None)

