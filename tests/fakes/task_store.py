# SPDX-License-Identifier: Apache-2.0
"""The task store in memory."""

import collections
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
import dataclasses
import datetime
import itertools
import math
import threading
import uuid

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import codes
from glance_sync_agent.domain import conflicts
from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import history
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from tests.fakes import history as fake_history


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Row:
    task: tasks.Task
    token: str | None = None
    owner: str | None = None
    expires_at: datetime.datetime | None = None
    verified_at: datetime.datetime | None = None

    @property
    def due(self) -> datetime.datetime | None:
        match self.task.status:
            case tasks.TaskStatus.PENDING:
                return self.task.not_before
            case tasks.TaskStatus.PROCESSING:
                return self.expires_at
        return None


_OPEN = {tasks.TaskStatus.PENDING, tasks.TaskStatus.PROCESSING}


class MemoryTaskStore:
    """``engine.ports.TaskStore``; held to ``tests/contract/test_task_store.py``."""

    def __init__(self) -> None:
        self._rows: dict[tasks.TaskKey, _Row] = {}
        self._lock = threading.RLock()
        self.history = fake_history.MemoryHistory()
        #: Set it, and every call raises :class:`ServiceUnavailable` and changes nothing.
        self.is_down = False

    def _open(self) -> threading.RLock:
        if self.is_down:
            raise errors.ServiceUnavailable("cannot use the task store: it is down")
        return self._lock

    def request(  # noqa: C901 (each field has its rule)
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        request: ports.Request,
        *,
        elsewhere: bool = True,
        of_source_only: bool = False,
        project: str | None = None,
        is_scan: bool = False,
    ) -> int:
        now, source_region = request.now, request.source_region
        with self._open():
            wanted = {tasks.TaskKey(image_id=image_id, region=region) for region in regions}
            keys = wanted
            if elsewhere:
                keys = wanted | {key for key in self._rows if key.image_id == image_id}
            if of_source_only:
                others = self._of_others(keys, source_region)
                deletes = request.may_delete or request.may_delete_unwanted
                may_take_over = source_region is None and not deletes
                taken_over = self._without_copy(others & wanted) if may_take_over else set()
                for key in taken_over:
                    self._take_over(key)
                keys = keys - (others - taken_over)
            for key in keys:
                row = self._rows.get(key) or _Row(task=_first(key, now, source_region))
                task = dataclasses.replace(
                    row.task,
                    generation=row.task.generation + 1,
                    request_id=request.request_id,
                    may_delete=row.task.may_delete or request.may_delete,
                    may_delete_unwanted=(
                        row.task.may_delete_unwanted or request.may_delete_unwanted
                    ),
                    attempts=0,
                    not_before=request.not_before,
                    updated_at=now,
                    failing_since=None,
                    project=row.task.project if not project else project[:64],
                )
                is_open = row.task.status in _OPEN or (
                    is_scan and row.task.status is tasks.TaskStatus.FAILURE
                )
                asked_at = row.task.asked_at if is_open else None
                task = dataclasses.replace(task, asked_at=asked_at or now)
                if request.by_person:
                    task = dataclasses.replace(task, cancelled_by=None)
                if is_scan and row.task.status is tasks.TaskStatus.FAILURE:
                    since = row.task.failing_since
                    attempts = row.task.attempts if since else 0
                    task = dataclasses.replace(task, attempts=attempts, failing_since=since)
                if not (elsewhere or is_scan):
                    task = dataclasses.replace(task, vanished=None)
                if row.task.status is tasks.TaskStatus.SUCCESS and row.task.copied_from is None:
                    task = dataclasses.replace(task, bytes_total=None)
                if row.task.status is not tasks.TaskStatus.PROCESSING:
                    task = dataclasses.replace(
                        task,
                        status=tasks.TaskStatus.PENDING,
                        code=Code.REQUESTED,
                        reason="",
                        bytes_done=0,
                    )
                if row.task.status is tasks.TaskStatus.PENDING and row.task.generation:
                    sooner = min(row.task.not_before, request.not_before)
                    task = dataclasses.replace(task, not_before=sooner)
                self._put(dataclasses.replace(row, task=task))
            return len(keys)

    def request_in(
        self,
        region: images.RegionId,
        image_ids: Iterable[images.ImageId],
        request: ports.Request,
        *,
        projects: Mapping[images.ImageId, str] | None = None,
    ) -> int:
        with self._open():
            return sum(
                self.request(
                    image_id,
                    [region],
                    request,
                    elsewhere=False,
                    project=(projects or {}).get(image_id),
                    is_scan=not request.by_person,
                    of_source_only=not request.by_person,
                )
                for image_id in frozenset(image_ids)
            )

    def due_regions(
        self, now: datetime.datetime, *, with_data: bool | None = None
    ) -> Sequence[images.RegionId]:
        with self._open():
            return sorted(
                {
                    row.task.key.region
                    for row in self._rows.values()
                    if row.due and row.due <= now and _is_of_kind(row.task, with_data)
                }
            )

    def next_due(self) -> datetime.datetime | None:
        with self._open():
            return min((row.due for row in self._rows.values() if row.due), default=None)

    def claim(
        self,
        region: images.RegionId,
        limit: int,
        *,
        owner: str,
        now: datetime.datetime,
        until: datetime.datetime,
        claim_filter: ports.ClaimFilter = ports.ANY_TASK,
    ) -> Sequence[tasks.Lease]:
        with self._open():
            found = sorted(
                (row.due, key.image_id, key)
                for key, row in self._rows.items()
                if key.region == region and row.due and row.due <= now
                and _is_below(row.task, claim_filter.below)
                and _is_of_kind(row.task, claim_filter.with_data)
                and key.image_id not in claim_filter.without
            )
            keys = [key for _, _, key in found]
            if claim_filter.projects:
                keys = self._in_turn(keys, claim_filter.projects, limit)
            leases = []
            for key in keys[:limit]:
                task = dataclasses.replace(
                    self._rows[key].task,
                    status=tasks.TaskStatus.PROCESSING,
                    bytes_done=0,
                    updated_at=now,
                    claimed_at=now,
                )
                token = uuid.uuid4().hex
                row = self._rows[key]
                self._put(
                    dataclasses.replace(
                        row, task=task, token=token, owner=owner, expires_at=until
                    )
                )
                leases.append(tasks.Lease(task=self._rows[key].task, token=token))
            return leases

    def _in_turn(
        self, keys: Sequence[tasks.TaskKey], projects: Sequence[str], limit: int
    ) -> list[tasks.TaskKey]:
        """Put abandoned tasks first, then an equal share of each project."""
        waiting = tasks.TaskStatus.PENDING
        first = [key for key in keys if self._rows[key].task.status is not waiting]
        for number, project in enumerate(projects):
            share = math.ceil(max(limit - len(first), 0) / (len(projects) - number))
            theirs = (
                key for key in keys
                if self._rows[key].task.project == project and key not in first
            )
            first += itertools.islice(theirs, share)
        return [*first, *(key for key in keys if key not in first)]

    def due_projects(
        self,
        region: images.RegionId,
        now: datetime.datetime,
        *,
        after: str | None,
        most: int,
        with_data: bool | None = None,
    ) -> tuple[Sequence[str], str | None]:
        with self._open():
            times: dict[str, datetime.datetime] = {}
            for row in self._rows.values():
                task = row.task
                is_pending = task.status is tasks.TaskStatus.PENDING
                if is_pending and task.key.region == region and _is_of_kind(task, with_data):
                    earliest = times.get(task.project, task.not_before)
                    times[task.project] = min(earliest, task.not_before)
            names = sorted(one for one in times if after is None or one > after)
            due = [one for one in names[:most] if times[one] <= now]
            return due, names[most - 1] if len(names) >= most else None

    def renew(
        self,
        lease: tasks.Lease,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
        bytes_done: int,
        bytes_total: int | None,
    ) -> None:
        with self._open():
            row = self._held(lease)
            task = dataclasses.replace(
                row.task, bytes_done=bytes_done, bytes_total=bytes_total, updated_at=now
            )
            self._put(dataclasses.replace(row, task=task, expires_at=until))

    def note_copy(
        self, lease: tasks.Lease, copy: identity.KnownCopy | None, image_name: str | None
    ) -> None:
        with self._open():
            row = self._held(lease)
            is_proven = copy is not None and row.task.proven_id == copy.copy_id
            proven_id = row.task.proven_id if is_proven else None
            task = dataclasses.replace(
                row.task,
                copy_id=None if copy is None else copy.copy_id,
                copy_created_at=None if copy is None else copy.created_at,
                on_probation=copy is not None and copy.on_probation,
                image_name=image_name,
                copied_from=None,
                has_data=False,
                damage=None,
                proven_id=proven_id,
                proven_hash=row.task.proven_hash if is_proven else None,
            )
            self._put(dataclasses.replace(row, task=task))

    def note_without_data(self, lease: tasks.Lease) -> None:
        with self._open():
            row = self._held(lease)
            self._put(dataclasses.replace(row, task=dataclasses.replace(row.task, has_data=False)))

    def note_copied(self, lease: tasks.Lease, copied_from: images.RegionId) -> None:
        with self._open():
            row = self._held(lease)
            task = dataclasses.replace(row.task, copied_from=copied_from)
            self._put(dataclasses.replace(row, task=task))

    def note_proven(
        self, lease: tasks.Lease, copy_id: images.ImageId, multihash: images.Multihash
    ) -> None:
        with self._open():
            row = self._held(lease)
            task = dataclasses.replace(
                row.task, proven_id=copy_id, proven_hash=str(multihash)
            )
            self._put(dataclasses.replace(row, task=task))

    def note_vanished(self, lease: tasks.Lease, vanished: backoff.Vanishings) -> None:
        with self._open():
            row = self._held(lease)
            task = dataclasses.replace(row.task, vanished=vanished)
            self._put(dataclasses.replace(row, task=task))

    def note_deactivated(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        with self._open():
            row = self._held(lease)
            task = dataclasses.replace(row.task, deactivated_id=copy_id)
            self._put(dataclasses.replace(row, task=task))

    def note_active(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        with self._open():
            row = self._held(lease)
            held_id = None if row.task.held_id == copy_id else row.task.held_id
            task = dataclasses.replace(row.task, deactivated_id=None, held_id=held_id)
            self._put(dataclasses.replace(row, task=task))

    def finish(
        self,
        lease: tasks.Lease,
        outcome: tasks.Outcome,
        now: datetime.datetime,
        *,
        events: Sequence[history.Event] = (),
    ) -> bool:
        with self._open():
            is_last = self._finish(lease, outcome, now)
            self.history.add(events)
            return is_last

    def _finish(self, lease: tasks.Lease, outcome: tasks.Outcome, now: datetime.datetime) -> bool:
        with self._open():
            task = dataclasses.replace(self._held(lease).task, updated_at=now)
            if isinstance(outcome, tasks.Succeeded) and outcome.copy is not None:
                task = _with_copy(task, outcome.copy)
            if task.generation != lease.task.generation:
                self._put_back(dataclasses.replace(task, code=Code.REQUESTED, reason=""))
                return False
            match outcome:
                case tasks.Forgotten():
                    del self._rows[task.key]
                    return True
                case tasks.Succeeded():
                    task = dataclasses.replace(
                        task,
                        held_id=outcome.held_id or task.held_id,
                        status=tasks.TaskStatus.SUCCESS,
                        done_at=now,
                        cancelled_by=(
                            None if outcome.code in codes.IN_STEP else task.cancelled_by
                        ),
                        attempts=0,
                        may_delete=task.may_delete and outcome.keeps_deletion,
                        may_delete_unwanted=(
                            task.may_delete_unwanted and outcome.keeps_deletion
                        ),
                        damage=None if outcome.code is Code.IN_SYNC else task.damage,
                        failing_since=None,
                    )
                case tasks.RetryAt():
                    task = dataclasses.replace(
                        task,
                        status=tasks.TaskStatus.PENDING,
                        attempts=task.attempts + outcome.counts,
                        not_before=outcome.when,
                        failing_since=(
                            task.failing_since or now if outcome.counts else task.failing_since
                        ),
                    )
                case tasks.Waiting():
                    task = dataclasses.replace(
                        task, status=tasks.TaskStatus.PENDING, not_before=outcome.until
                    )
                case tasks.Failed():
                    task = dataclasses.replace(
                        task,
                        status=tasks.TaskStatus.FAILURE,
                        attempts=task.attempts + 1,
                        failing_since=task.failing_since or now if outcome.gave_up else None,
                    )
            since = outcome.since if isinstance(outcome, tasks.Waiting) else None
            task = dataclasses.replace(
                task, code=outcome.code, reason=outcome.reason, waiting_since=since
            )
            self._put(self._free(task))
            return True

    def release(self, lease: tasks.Lease, now: datetime.datetime) -> None:
        with self._open():
            task = self._held(lease).task
            self._put_back(dataclasses.replace(task, not_before=now, updated_at=now))

    def cancel(
        self,
        image_id: images.ImageId,
        regions: Collection[images.RegionId] | None,
        *,
        by: str,
        now: datetime.datetime,
    ) -> Sequence[images.RegionId]:
        with self._open():
            found = [
                task for task in self.list(image_id=image_id)
                if task.status is not tasks.TaskStatus.SUCCESS
                and (regions is None or task.key.region in regions)
            ]
            for task in found:
                task = dataclasses.replace(
                    task,
                    status=tasks.TaskStatus.PENDING,
                    not_before=now,
                    code=Code.CANCELLED,
                    reason=conflicts.cancelled_text(by),
                    cancelled_by=by,
                    generation=task.generation + 1,
                    bytes_done=0,
                    failing_since=None,
                    waiting_since=None,
                    updated_at=now,
                )
                self._put(self._free(task))
            return [task.key.region for task in found]

    def call_off(
        self,
        regions: Collection[images.RegionId] | None,
        now: datetime.datetime,
        *,
        only_abandoned: bool = False,
    ) -> int:
        with self._open():
            leased = [
                row.task for row in self._rows.values()
                if row.expires_at is not None
                and (regions is None or row.task.key.region in regions)
                and (row.expires_at <= now or not only_abandoned)
            ]
            for task in leased:
                self._put_back(dataclasses.replace(task, not_before=now, updated_at=now))
            return len(leased)

    def release_owned(self, owner: str, now: datetime.datetime) -> int:
        with self._open():
            owned = [row.task for row in self._rows.values() if row.owner == owner]
            for task in owned:
                self._put_back(dataclasses.replace(task, not_before=now, updated_at=now))
            return len(owned)

    def distrust(
        self,
        key: tasks.TaskKey,
        damage: verification.Damage,
        *,
        now: datetime.datetime,
        request_id: str,
    ) -> bool:
        with self._open():
            row = self._rows.get(key)
            if row is None or row.task.copy_id != damage.copy_id:
                return False
            self._request(key, now, request_id)
            row = self._rows[key]
            task = dataclasses.replace(row.task, damage=damage)
            self._put(dataclasses.replace(row, task=task))
            return True

    def note_verified(self, key: tasks.TaskKey, now: datetime.datetime) -> None:
        with self._open():
            if key in self._rows:
                self._put(dataclasses.replace(self._rows[key], verified_at=now))

    def adopt(
        self,
        key: tasks.TaskKey,
        copy: identity.KnownCopy,
        *,
        now: datetime.datetime,
        request_id: str,
        source_region: images.RegionId | None,
        unless_known: bool = False,
    ) -> bool:
        with self._open():
            if self._is_at_work(key):
                return False
            if unless_known and key in self._rows and self._rows[key].task.copy_id is not None:
                return True
            if self._of_others({key}, source_region):
                self._move(key, source_region)
            self._request(key, now, request_id, source_region)
            self._know(key, copy)
            return True

    def permit_activation(
        self, key: tasks.TaskKey, *, now: datetime.datetime, request_id: str
    ) -> bool:
        with self._open():
            row = self._rows.get(key)
            if row is None or (row.task.copy_id is None and row.task.held_id is None):
                return False
            self._request(key, now, request_id)
            row = self._rows[key]
            task = dataclasses.replace(
                row.task, deactivated_id=row.task.copy_id, held_id=None
            )
            self._put(dataclasses.replace(row, task=task))
            return True

    def _request(
        self,
        key: tasks.TaskKey,
        now: datetime.datetime,
        request_id: str,
        source_region: images.RegionId | None = None,
    ) -> None:
        request = ports.Request(
            request_id=request_id,
            now=now,
            not_before=now,
            source_region=source_region,
            by_person=True,
        )
        self.request(key.image_id, [key.region], request, elsewhere=False)

    def disown(self, key: tasks.TaskKey, copy_id: images.ImageId) -> bool:
        with self._open():
            if self._is_at_work(key):
                return False
            if key in self._rows and self._rows[key].task.copy_id == copy_id:
                self._know(key, None)
            return True

    def _of_others(
        self, keys: set[tasks.TaskKey], source_region: images.RegionId | None
    ) -> set[tasks.TaskKey]:
        return {
            key
            for key in keys & self._rows.keys()
            if self._rows[key].task.source_region != source_region
        }

    def _without_copy(self, keys: set[tasks.TaskKey]) -> set[tasks.TaskKey]:
        free = {key for key in keys if self._rows[key].task.copy_id is None}
        return {key for key in free if not self._is_at_work(key)}

    def _take_over(self, key: tasks.TaskKey) -> None:
        self._know(key, None)
        self._move(key, None)

    def _move(self, key: tasks.TaskKey, source_region: images.RegionId | None) -> None:
        row = self._rows[key]
        task = dataclasses.replace(
            row.task, source_region=source_region, missing_since=None, may_delete=False,
            may_delete_unwanted=False,
        )
        self._put(dataclasses.replace(row, task=task))

    def _is_at_work(self, key: tasks.TaskKey) -> bool:
        row = self._rows.get(key)
        return row is not None and row.task.status is tasks.TaskStatus.PROCESSING

    def _know(self, key: tasks.TaskKey, copy: identity.KnownCopy | None) -> None:
        row = self._rows[key]
        task = dataclasses.replace(
            row.task,
            copy_id=None if copy is None else copy.copy_id,
            copy_created_at=None if copy is None else copy.created_at,
            on_probation=False,
            copied_from=None,
            has_data=copy is not None,
            damage=None,
            proven_id=None,
            proven_hash=None,
            held_id=None,
        )
        self._put(dataclasses.replace(row, task=task))

    def note_missing(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        since: datetime.datetime | None,
    ) -> None:
        with self._open():
            for region in regions:
                row = self._rows.get(tasks.TaskKey(image_id=image_id, region=region))
                if row is not None:
                    task = dataclasses.replace(row.task, missing_since=since)
                    self._put(dataclasses.replace(row, task=task))

    def unverified(self, before: datetime.datetime) -> Iterator[tasks.Task]:
        for task in self.list():
            if (self._rows[task.key].verified_at or task.created_at) < before:
                yield task

    def get(self, key: tasks.TaskKey) -> tasks.Task | None:
        with self._open():
            row = self._rows.get(key)
            return None if row is None else row.task

    def find(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Task]:
        return [task for task in self.list() if task.key.image_id in image_ids]

    def outlines(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Outline]:
        return [
            tasks.Outline(
                image_id=task.key.image_id,
                region=task.key.region,
                source_region=task.source_region,
                is_region_gone=task.code is Code.REGION_GONE,
                missing_since=task.missing_since,
            )
            for task in self.list()
            if task.key.image_id in image_ids
        ]

    def list(
        self,
        *,
        image_id: images.ImageId | None = None,
        region: images.RegionId | None = None,
        status: tasks.TaskStatus | None = None,
    ) -> Iterator[tasks.Task]:
        with self._open():
            keys = sorted(self._rows, key=lambda key: (key.image_id, key.region))
        for key in keys:
            row = self._rows.get(key)
            if (
                row is not None
                and image_id in {None, key.image_id}
                and region in {None, key.region}
                and status in {None, row.task.status}
            ):
                yield row.task

    def waiting(self) -> Iterator[tasks.Task]:
        pending = self.list(status=tasks.TaskStatus.PENDING)
        return (task for task in pending if task.waiting_since is not None)

    def count(self, late_before: datetime.datetime) -> fleet.RegionCounts:
        by_region: dict[images.RegionId, list[tasks.Task]] = {}
        for task in self.list():
            by_region.setdefault(task.key.region, []).append(task)
        return {
            region: _counts(found, late_before) for region, found in sorted(by_region.items())
        }

    def matching(self, task_filter: ports.TaskFilter) -> Iterator[tasks.Task]:
        return (task for task in self.list() if _matches(task, task_filter))

    def page(
        self, task_filter: ports.TaskFilter, page: ports.Page
    ) -> Sequence[images.ImageId]:
        found = sorted(
            {task.key.image_id for task in self.matching(task_filter)}, reverse=page.descending
        )
        if page.after is not None:
            after = page.after
            found = [one for one in found if (one < after if page.descending else one > after)]
        return found[: page.limit]

    def image_ids(self) -> Iterator[images.ImageId]:
        with self._open():
            found = sorted({key.image_id for key in self._rows})
        yield from found

    def _held(self, lease: tasks.Lease) -> _Row:
        row = self._rows.get(lease.task.key)
        if row is None or row.token != lease.token:
            raise errors.LeaseLost(f"another agent holds the lease on {lease.task.key}")
        return row

    def _put(self, row: _Row) -> None:
        task = row.task
        task = dataclasses.replace(
            task,
            not_before=task.not_before.astimezone(datetime.UTC),
            created_at=task.created_at.astimezone(datetime.UTC),
            updated_at=task.updated_at.astimezone(datetime.UTC),
            waiting_since=task.waiting_since and task.waiting_since.astimezone(datetime.UTC),
            failing_since=task.failing_since and task.failing_since.astimezone(datetime.UTC),
        )
        self._rows[task.key] = dataclasses.replace(row, task=task)

    def _put_back(self, task: tasks.Task) -> None:
        task = dataclasses.replace(task, status=tasks.TaskStatus.PENDING, bytes_done=0)
        self._put(self._free(task))

    def _free(self, task: tasks.Task) -> _Row:
        return _Row(task=task, verified_at=self._rows[task.key].verified_at)


def _matches(task: tasks.Task, task_filter: ports.TaskFilter) -> bool:
    return (
        task_filter.region in {None, task.key.region}
        and task_filter.status in {None, task.status}
        and task_filter.code in {None, task.code}
        and task_filter.image_name in {None, task.image_name}
        and (task_filter.since is None or task.updated_at >= task_filter.since)
    )


def _counts(found: list[tasks.Task], late_before: datetime.datetime) -> fleet.Counts:
    times = [task.asked_at for task in found if task.status in _OPEN]
    asked = [time for time in times if time is not None]
    return fleet.Counts(
        tasks=collections.Counter((task.status.value, str(task.code)) for task in found),
        waiting_bytes=sum(
            max((task.bytes_total or 0) - task.bytes_done, 0)
            for task in found
            if task.status in _OPEN and not task.has_data
        ),
        oldest_asked_at=min(asked, default=None),
        late=sum(time < late_before for time in asked),
    )


def _is_below(task: tasks.Task, size: int | None) -> bool:
    is_known = task.bytes_total is not None and not task.has_data
    return size is None or not is_known or (task.bytes_total or 0) < size


def _is_of_kind(task: tasks.Task, with_data: bool | None) -> bool:
    return with_data in {None, task.has_data}


def _with_copy(task: tasks.Task, copy: tasks.CopySeen) -> tasks.Task:
    task = dataclasses.replace(
        task,
        copy_id=copy.copy_id,
        copy_created_at=copy.created_at,
        on_probation=False,
        image_name=copy.image_name,
        copied_from=copy.copied_from or task.copied_from,
        deactivated_id=task.deactivated_id if copy.is_deactivated else None,
        held_id=task.held_id if copy.is_deactivated else None,
    )
    if copy.size is None:
        return task
    return dataclasses.replace(
        task, bytes_done=copy.size, bytes_total=copy.size, has_data=True
    )


def _first(
    key: tasks.TaskKey, now: datetime.datetime, source_region: images.RegionId | None
) -> tasks.Task:
    """Return a task that was not requested yet."""
    return tasks.Task(
        key=key,
        status=tasks.TaskStatus.PENDING,
        generation=0,
        request_id="",
        may_delete=False,
        attempts=0,
        not_before=now,
        code=Code.REQUESTED,
        reason="",
        image_name=None,
        copy_id=None,
        source_region=source_region,
        copied_from=None,
        waiting_since=None,
        bytes_done=0,
        bytes_total=None,
        created_at=now,
        updated_at=now,
    )
