# SPDX-License-Identifier: Apache-2.0
"""What one attempt knows of its copy, and how much of that its row knows."""

import contextlib

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports


class CopyNotes:
    """The memory of one attempt. A row that knows a copy is the proof that it is ours.

    What an attempt learns is written with its outcome. It is written at once where the agent
    chose an id, and where the attempt fails.
    """

    def __init__(self, lease: tasks.Lease, store: ports.TaskStore) -> None:
        self._lease = lease
        self._store = store
        self._written = lease.task.known_copy
        self._name = lease.task.image_name
        self.known = self._written
        #: The row knew a copy that is not there any more. No other image is taken for it.
        self.has_lost = False
        #: The copy that was read back and has the source's bytes.
        self.proven_id = None if self.known is None else lease.task.proven_id
        #: The copy that was deactivated by the agent, or is about to be.
        self.deactivated_id = lease.task.deactivated_id

    @property
    def chosen_id(self) -> images.ImageId | None:
        """The id that was chosen for a copy whose record nobody has seen yet."""
        if self.known is None or self.known.created_at is not None:
            return None
        return self.known.copy_id

    def choose(self, copy_id: images.ImageId, source: images.Image) -> None:
        """Write down the id of a record before it is made.

        :raises LeaseLost: somebody else works on the task; the record must not be made.
        """
        self.known = identity.KnownCopy(copy_id=copy_id, created_at=None)
        self.write(source)

    def found(self, copy: images.Image, *, on_probation: bool = False) -> None:
        """Remember a record that was made just now, or that proved to be ours."""
        self.known = identity.KnownCopy(
            copy_id=copy.image_id, created_at=copy.created_at, on_probation=on_probation
        )

    def miss(self) -> None:
        """Remember that the copy of the row is not there any more. A chosen id stays."""
        if self.chosen_id is None:
            self.known, self.has_lost = None, True
            self.proven_id = None

    def forget(self) -> None:
        """Write that there is no copy.

        :raises LeaseLost: somebody else works on the task.
        """
        self.known = None
        self._write()

    def prove(self, copy_id: images.ImageId) -> None:
        """Write down that a copy was read back and has the source's bytes.

        :raises LeaseLost: somebody else works on the task.
        """
        self._store.note_proven(self._lease, copy_id)
        self.proven_id = copy_id

    def deactivate(self, copy_id: images.ImageId) -> None:
        """Write down that a copy is deactivated by the agent, before it is.

        Without that somebody else has done it, and it is not the agent's to undo.

        :raises LeaseLost: somebody else works on the task; the copy must stay as it is.
        """
        self._store.note_deactivated(self._lease, copy_id)
        self.deactivated_id = copy_id

    def write(self, source: images.Image) -> None:
        """Write what is known, and that the bytes of the copy are yet to come.

        :raises LeaseLost: somebody else works on the task.
        """
        self._name = source.metadata.name
        self._write()

    def secure(self) -> None:
        """Write what the row does not know yet, before others than its owner see the copy.

        Without a row a copy is not found again where its image is not wanted any more.

        :raises LeaseLost: somebody else works on the task; the copy must stay as it is.
        """
        if self.known != self._written:
            self._write()

    def save(self) -> None:
        """Write what the row does not know yet. If the database is away, it is lost."""
        if self.known != self._written and self.known is not None:
            with contextlib.suppress(errors.ServiceUnavailable):
                self._write()

    def _write(self) -> None:
        self._store.note_copy(self._lease, self.known, self._name)
        self._written = self.known
