# SPDX-License-Identifier: Apache-2.0
"""What the steps of one attempt share."""

import dataclasses

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.attempt_log import AttemptLog
from glance_sync_agent.engine.attempts.copy_notes import CopyNotes
from glance_sync_agent.engine.attempts.sources import SourceReader
from glance_sync_agent.engine.placement.wanted_copies import Wanted


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """The task of an attempt, and what it knows before a step."""

    lease: tasks.Lease
    service: ports.ImageService  # of the copy's region
    evidence: identity.Evidence  # without what the row knows of the copy
    notes: CopyNotes
    log: AttemptLog
    reader: SourceReader
    wanted: Wanted  # by the policy of this attempt
    is_first: bool = True  # whether this attempt has executed nothing yet
    #: The copy, if it was read after everything else that this attempt has read.
    just_read: images.Image | None = None

    @property
    def key(self) -> tasks.TaskKey:
        """The identity of the task."""
        return self.lease.task.key

    def whose(self, copy: images.Image) -> identity.Identity:
        """Return whose an image is, by everything that is known now."""
        return identity.whose(copy, dataclasses.replace(self.evidence, known=self.notes.known))

    def read_again(self, copy: images.Image) -> images.Image | None:
        """Read a copy right before it is changed, because Glance has no If-Match.

        :returns: None if it is gone.
        :raises TransientError: it is not ours any more.
        """
        now = self.service.get_record(copy.image_id)
        if now is None:
            return None
        found = self.whose(now)
        if not found.is_ours:
            raise errors.TransientError(
                f"image {copy.image_id} of region {copy.region} changed during the attempt and "
                f"stays untouched: {found.reason}"
            )
        return now
