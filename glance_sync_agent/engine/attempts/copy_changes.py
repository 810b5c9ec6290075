# SPDX-License-Identifier: Apache-2.0
"""Changes the records of copies."""

from collections.abc import Callable
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import copy_plans
from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import narrowing
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.context import Context
from glance_sync_agent.engine.transfer import progress

LOG = logging.getLogger(__name__)

#: What narrows access may take this many steps, because members show only after a visibility.
_NARROWING_STEPS = 3


class CopyChanges:
    """Changes metadata and status. Thread safe."""

    def __init__(self, outside: ports.Ports, limits: Callable[[], progress.Limits]) -> None:
        self._store = outside.store
        self._clock = outside.clock
        self._limits = limits

    def make(
        self, context: Context, action: actions.UpdateMetadata | actions.SetActive
    ) -> images.Image | None:
        """Change the record of a copy, and return it as it is then; None: it is gone.

        It stays as it is if the change gives access and the look at the source is old by now.

        :raises LeaseLost: somebody else works on the task; nobody got access.
        """
        service, notes, copy_id = context.service, context.notes, action.copy.image_id
        if action.copy is not context.just_read and context.read_again(action.copy) is None:
            return None
        if narrowing.widens(action) and context.reader.is_old:
            return action.copy  # the next step looks at the source anew
        if narrowing.widens(action):
            notes.remember(action.copy, on_probation=context.whose(action.copy).on_probation)
            notes.write_news()
            # An agent that stood still for longer than its lease would widen on old knowledge.
            progress.renew(
                context.lease, store=self._store, clock=self._clock, limits=self._limits()
            )
        if isinstance(action, actions.UpdateMetadata):
            changed = service.update(action)
            _report_update(context, action)
            return changed if changed is not None else service.get(copy_id)
        if not action.active:
            notes.write_deactivation(copy_id)
        self._set_active(context, action)
        if action.active:
            notes.write_active(copy_id)
        kind = history.Kind.REACTIVATED if action.active else history.Kind.DEACTIVATED
        LOG.info("%s %s", kind.capitalize(), context.key)
        context.log.add(kind, copy_id=copy_id)
        return service.get(copy_id)

    def hide(
        self, context: Context, change: actions.UpdateMetadata | actions.SetActive
    ) -> None:
        """Take access to a copy away that is deleted next. A refusal stops no deletion."""
        try:
            self.make(context, change)
        except (errors.Refused, errors.ServiceUnavailable) as exc:
            if isinstance(exc, errors.ServiceUnavailable) and exc.fault is not errors.Fault.ANSWER:
                raise
            LOG.warning(
                "Could not take access to the copy of %s away before its deletion: %s",
                context.key, exc,
            )

    def take_back(self, context: Context, copy_id: images.ImageId) -> None:
        """Take access to a copy away that is read back for hours, if its source lost it.

        :raises Cancelled: the source is gone.
        :raises SyncError: a service did not answer, or refused a step.
        """
        for _ in range(_NARROWING_STEPS):
            source, copy = context.reader.read_now(), context.service.get(copy_id)
            if source is None or source.status in images.GONE:
                raise errors.Cancelled(f"{context.key}: its source is gone")
            if copy is None or not (found := context.whose(copy)).is_ours:
                return
            if copy.status is images.ImageStatus.ACTIVE:
                context.notes.write_active(copy_id)
            proven_id = context.notes.proven_for(source.multihash)
            wanted = context.wanted(source, copy)
            step = copy_plans.narrowing_step(wanted, copy, found, proven_id)
            if step is None:
                return
            self.make(context, step)
        raise errors.TransientError(
            f"image {copy_id} of region {context.key.region} has more users than its source, also "
            f"after {_NARROWING_STEPS} changes"
        )

    def _set_active(self, context: Context, action: actions.SetActive) -> None:
        try:
            context.service.set_active(action.copy.image_id, active=action.active)
        except errors.SyncError:
            # If Glance refuses the deactivation, the metadata is still narrowed.
            if action.and_also is not None:
                context.service.update(action.and_also)
                _report_update(context, action.and_also)
            raise


def _report_update(context: Context, change: actions.UpdateMetadata) -> None:
    LOG.info("Updated the metadata of %s", context.key)
    names = [*change.attributes]
    names += [one for one in change.properties if one not in mark_properties.NAMES]
    if change.tags is not None:
        names.append("tags")
    if change.members:
        names.append("members")
    context.log.add(
        history.Kind.UPDATED, copy_id=change.copy.image_id, text=", ".join(sorted(names))
    )
