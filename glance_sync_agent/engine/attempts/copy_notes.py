# SPDX-License-Identifier: Apache-2.0
"""What one attempt knows about its copy, and how much of that its row knows."""

import contextlib

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports


class CopyNotes:
    """The memory of one attempt. A row that knows a copy is the proof that it is ours.

    What an attempt remembers is written with its outcome. Methods named ``write`` write to the
    row at once.
    """

    def __init__(self, lease: tasks.Lease, store: ports.TaskStore) -> None:
        self.lease = lease
        self._store = store
        self._written = lease.task.known_copy
        self._name = lease.task.image_name
        self.known = self._written
        #: The row knew a copy that does not exist any more. No other image is taken for it.
        self.has_lost = False
        #: The region where this attempt read the bytes of the copy; None: it transferred none.
        self.copied_from: images.RegionId | None = None
        #: The copy that was read back, and the hash that it was compared with.
        self._proof = (lease.task.proven_id, lease.task.proven_hash) if self.known else None
        #: The copy that the agent deactivated, or is about to.
        self.deactivated_id = lease.task.deactivated_id
        #: The copy that somebody else deactivated.
        self.held_id = lease.task.held_id

    @property
    def chosen_id(self) -> images.ImageId | None:
        """The id that was chosen for a copy whose record was never seen."""
        if self.known is None or self.known.created_at is not None:
            return None
        return self.known.copy_id

    def write_chosen_id(self, copy_id: images.ImageId, source: images.Image) -> None:
        """Write down the id of a record before it is made.

        :raises LeaseLost: somebody else works on the task; the record must not be made.
        """
        self.known = identity.KnownCopy(copy_id=copy_id, created_at=None)
        self.write_empty(source)

    def remember(self, copy: images.Image, *, on_probation: bool = False) -> None:
        """Remember a record that was made just now, or that proved to be ours."""
        self.known = identity.KnownCopy(
            copy_id=copy.image_id, created_at=copy.created_at, on_probation=on_probation
        )

    def remember_loss(self) -> None:
        """Remember that the copy of the row does not exist any more. A chosen id stays."""
        if self.chosen_id is None:
            self.known, self.has_lost = None, True
            self._proof = None

    def write_none(self) -> None:
        """Write that there is no copy.

        :raises LeaseLost: somebody else works on the task.
        """
        self.known = self.copied_from = None
        self._write()

    def proven_for(self, multihash: images.Multihash | None) -> images.ImageId | None:
        """Return the copy that was read back and has the bytes with this hash; None: none has."""
        is_proven = self._proof is not None and self._proof[1] == str(multihash)
        return self._proof[0] if self._proof and is_proven else None

    def write_proven(self, copy_id: images.ImageId, multihash: images.Multihash) -> None:
        """Write down that a copy was read back and has the source's bytes.

        :raises LeaseLost: somebody else works on the task.
        """
        self._store.note_proven(self.lease, copy_id, multihash)
        self._proof = copy_id, str(multihash)

    def write_deactivation(self, copy_id: images.ImageId) -> None:
        """Write down that the agent deactivates a copy, before it does.

        Without such a note, somebody else deactivated the copy, and it stays so.

        :raises LeaseLost: somebody else works on the task; the copy must stay as it is.
        """
        self._store.note_deactivated(self.lease, copy_id)
        self.deactivated_id = copy_id

    def write_active(self, copy_id: images.ImageId) -> None:
        """Write down that a copy is active, if the row says otherwise.

        A later deactivation is somebody else's, and a hold of this copy is over.

        :raises LeaseLost: somebody else works on the task.
        """
        if self.deactivated_id is None and self.held_id != copy_id:
            return
        self._store.note_active(self.lease, copy_id)
        self.deactivated_id = None
        self.held_id = None if self.held_id == copy_id else self.held_id

    def write_empty(self, source: images.Image) -> None:
        """Write what is known, and that the copy has no bytes yet.

        :raises LeaseLost: somebody else works on the task.
        """
        self._name = source.metadata.name
        self._write()

    def write_news(self) -> None:
        """Write what the row does not know yet, before users besides the owner see the copy.

        If its image leaves the strategy, a copy without a row is not found again.

        :raises LeaseLost: somebody else works on the task; the copy must stay as it is.
        """
        if self.known != self._written:
            self._write()

    def write_news_if_possible(self) -> None:
        """Write what the row does not know yet. If the database is away, it is lost."""
        with contextlib.suppress(errors.ServiceUnavailable):
            if self.known != self._written and self.known is not None:
                self._write()
            if self.copied_from is not None:
                self._store.note_copied(self.lease, self.copied_from)

    def _write(self) -> None:
        self._store.note_copy(self.lease, self.known, self._name)
        self._written = self.known
