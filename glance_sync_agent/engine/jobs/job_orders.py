# SPDX-License-Identifier: Apache-2.0
"""Takes the orders for scans and verifications."""

import datetime
import uuid

from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import jobs
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.asked import Asked

_KINDS = {
    jobs.JobKind.SCAN: history.Kind.SCAN_ASKED,
    jobs.JobKind.VERIFICATION: history.Kind.VERIFICATION_ASKED,
}
_NAMES = uuid.UUID("5d3a3ac6-2d1c-4b6b-9d0b-9c3b1f0f6a53")


class JobOrders:
    """Writes what people ask for, so that any agent can run it. Thread safe."""

    def __init__(self, outside: ports.Ports) -> None:
        self._outside = outside

    def ask(self, order: jobs.Order, asked: Asked) -> jobs.Job:
        """Ask for a job; return it.

        If the same person asks for the same again under the same request id, that is the same job.

        :raises ServiceUnavailable: the database does not answer.
        """
        job = jobs.Job(
            job_id=_id_of(order, asked),
            order=order,
            asked_at=self._outside.clock.now(),
            asked_by=asked.by,
            request_id=asked.request_id,
        )
        if self._outside.jobs.add(job):
            self._note(job, _KINDS[order.kind], asked, job.asked_at)
        return self._outside.jobs.get(job.job_id) or job

    def cancel(self, job: jobs.Job, asked: Asked) -> jobs.Job:
        """End a job, if it has not ended; return it as it is then.

        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._outside.clock.now()
        found = self._outside.jobs.cancel(job.job_id, by=asked.by, now=now) or job
        if not job.is_over() and found.state is jobs.JobState.CANCELLED:
            self._note(job, history.Kind.JOB_CANCELLED, asked, now)
        return found

    def _note(
        self, job: jobs.Job, kind: history.Kind, asked: Asked, now: datetime.datetime
    ) -> None:
        regions: tuple[images.RegionId | None, ...] = job.order.regions or (None,)
        self._outside.history.add(
            [
                history.Event(
                    at=now,
                    kind=kind,
                    by=asked.by,
                    request_id=asked.request_id,
                    image_id=job.order.image_id,
                    region=region,
                    text=f"{job.order.kind} {job.job_id}{' (dry run)' * job.order.is_dry}",
                )
                for region in regions
            ]
        )


def _id_of(order: jobs.Order, asked: Asked) -> str:
    if asked.request_id is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_NAMES, f"{asked.by} {asked.request_id} {order}"))
