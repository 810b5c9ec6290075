# SPDX-License-Identifier: Apache-2.0
"""Which tasks a person or a program wants to see."""

import dataclasses
import datetime

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TaskFilter:
    """Tasks that match all fields; None matches everything."""

    region: images.RegionId | None = None
    status: tasks.TaskStatus | None = None
    code: Code | None = None
    image_name: str | None = None  # as last known
    since: datetime.datetime | None = None  # changed then or later; aware UTC

    def __str__(self) -> str:
        """Return the fields that have a value."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return ", ".join(f"{name} {value}" for name, value in values.items() if value) or "all"


ALL_TASKS = TaskFilter()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A part of an ordered list of images."""

    limit: int
    after: images.ImageId | None = None  # the last image of the page before; None: the first page
    descending: bool = False
