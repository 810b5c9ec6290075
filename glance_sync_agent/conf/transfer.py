# SPDX-License-Identifier: Apache-2.0
"""The options about tasks, transfers and their failures."""

from oslo_config import cfg

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import breakers
from glance_sync_agent.engine.attempts.attempt_settings import AttemptSettings
from glance_sync_agent.engine.attempts.large_slots import SlotSettings
from glance_sync_agent.engine.attempts.worker import WorkerSettings
from glance_sync_agent.engine.transfer.origins import OriginSettings
from glance_sync_agent.engine.transfer.progress import Limits

_MIB = 1024 * 1024

OPTIONS = {
    None: [
        cfg.BoolOpt(
            "record_locations", default=False, mutable=True,
            help="Add each copy to its source as a location GLANCE/v2/images/ID, for a "
            "cascading Nova. It needs show_multiple_locations in the cascading Glance, which "
            "shows all locations to every user of an image (OSSN-0065) and may lose a user's "
            "change that comes at the same moment. 'glance-sync-manage check' shows what else it "
            "needs. Disabling it keeps the locations that exist.",
        ),
        cfg.IntOpt(
            "snapshot_timeout", default=300, min=1, mutable=True,
            help="Seconds that an announced snapshot may take to become active; then its tasks "
            "fail. Raise it for large or slow snapshots. The agent copies a late one when Glance "
            "announces that it is active.",
        ),
        cfg.IntOpt(
            "snapshot_sleep_interval", default=10, min=1, mutable=True,
            help="Seconds between two checks of the snapshots that are not active yet. One "
            "request checks a hundred of them, so a lower value costs little.",
        ),
        cfg.IntOpt(
            "task_retry_times", default=5, min=0, max=1000, mutable=True,
            help="Retries of a task after its first attempt fails; then it waits for an "
            "operator or for a change of the image. Raise it for unreliable networks.",
        ),
        cfg.IntOpt(
            "scp_copy_timeout", default=3600, min=0, mutable=True,
            help="Seconds that the data of one image may take to one region; 0: no limit. An hour "
            "suffices for 100 GiB at 30 MiB/s; raise it for larger images or slower links. A "
            "stalled transfer ends after [transfer] idle_timeout_seconds.",
        ),
    ],
    "transfer": [
        cfg.IntOpt(
            "tasks_per_region", default=4, min=1, max=64,
            help="Tasks that run in one region at the same time; each region has its own slots. "
            "Raise it for fast links with many images. One extra slot serves copies that have "
            "their data, for example to make one private.",
        ),
        cfg.IntOpt(
            "small_image_mib", default=4, min=0,
            help="Images up to this size in MiB go through the image API, even if the region has "
            "SSH. Raise it if SSH channels open slowly, because one request costs less than a "
            "channel.",
        ),
        cfg.IntOpt(
            "large_image_mib", default=2048, min=0,
            help="Images of this size in MiB or more leave one slot of each region free for "
            "smaller images; 0: they do not. Lower it if small images wait too long. 2 GiB take "
            "a minute at 30 MiB/s.",
        ),
        cfg.BoolOpt(
            "copies_as_sources", default=True, mutable=True,
            help="Read an image from a verified copy in another region if its own region fails "
            "or is busy with other reads. Disable it if the links between cascaded regions are "
            "slow or expensive.",
        ),
        cfg.FloatOpt(
            "connect_timeout_seconds", default=10.0, min=0.1,
            help="Seconds to wait until an image endpoint accepts a connection. Raise it for "
            "distant or overloaded endpoints.",
        ),
        cfg.FloatOpt(
            "idle_timeout_seconds", default=60.0, min=1.0,
            help="Seconds without a byte or an answer after which the agent stops a request or a "
            "transfer and retries it. Raise it if a Glance takes longer to store an image after "
            "the last byte.",
        ),
        cfg.FloatOpt(
            "retry_base_seconds", default=5.0, min=0.01,
            help="Longest back-off before the first retry of a task; it doubles with each retry. "
            "The actual wait is a random part of it, so that tasks do not retry all at once.",
        ),
        cfg.FloatOpt(
            "retry_max_seconds", default=1800.0, min=0.01,
            help="Longest back-off before any retry of a task, in seconds. Lower it if tasks must "
            "recover sooner; each attempt may send the whole image.",
        ),
        cfg.FloatOpt(
            "give_up_seconds", default=86400.0, min=0, mutable=True,
            help="Seconds after its first failure during which the agent retries a task "
            "although task_retry_times is used up, for failures that may pass: a full disk, a "
            "quota, 403 or 413 for an upload, 5xx, a broken connection. Set it to the time that "
            "operators need to make room; 0: only task_retry_times counts. Later, one retry a "
            "day follows.",
        ),
        cfg.FloatOpt(
            "vanished_pause_seconds", default=600.0, min=0, max=86400, mutable=True,
            help="Seconds before the agent copies an image again whose copy was deleted in its "
            "region for the second time. The pause doubles with each deletion, up to a day, and "
            "ends after a week without one. 0: always copy at once.",
        ),
        cfg.FloatOpt(
            "lease_seconds", default=180.0, min=10.0,
            help="Seconds for which an agent keeps a task after its last sign of life; then "
            "another agent takes it. It must be at least twice idle_timeout_seconds.",
        ),
        cfg.IntOpt(
            "region_failures", default=4, min=0, max=1000, mutable=True,
            help="Consecutive failures after which a region is unavailable, so that its tasks "
            "wait without using up retries; 0: never. Failures of one image count once. A "
            "region that answers 5xx stays available, but gets few tasks until one succeeds. "
            "Keep it at or below task_retry_times.",
        ),
        cfg.FloatOpt(
            "region_pause_seconds", default=10.0, min=0.01, mutable=True,
            help="Longest time until the first probe of an unavailable region; it doubles when a "
            "probe fails. The actual time is a random part of it, at least half. A region that "
            "answers 5xx gets its next tasks after a tenth of it.",
        ),
        cfg.MultiStrOpt(
            "pause_windows", default=[], mutable=True,
            help="Times at which a region is paused: the region or '*', the start as in a "
            "crontab, the duration (m, h or d), the time zone, and optionally 'finish', so that "
            "running transfers come to their end; otherwise they stop and begin anew. Repeat the "
            "option for more windows. Use it if links or stores are needed for other work by "
            "day; meanwhile the copies there do not follow their sources.",
            sample_default=["RegionTwo: 0 8 * * 1-5 10h Europe/Berlin finish"],
        ),
        cfg.FloatOpt(
            "region_pause_max_seconds", default=300.0, min=0.01, mutable=True,
            help="Longest time between two probes of an unavailable region, in seconds. Lower it "
            "if tasks must continue sooner after an outage.",
        ),
    ],
}


def attempt_settings(conf: cfg.ConfigOpts) -> AttemptSettings:
    """Return the settings of one attempt."""
    return AttemptSettings(
        limits=Limits(
            transfer=conf.scp_copy_timeout,
            lease=conf.transfer.lease_seconds,
            snapshot=conf.snapshot_timeout,
            vanished=conf.transfer.vanished_pause_seconds,
        ),
        delete_out_of_strategy=conf.reconcile.delete_out_of_strategy,
        record_locations=conf.record_locations,
    )


def worker_settings(conf: cfg.ConfigOpts) -> WorkerSettings:
    """Return the settings of the worker."""
    return WorkerSettings(
        tasks_per_region=conf.transfer.tasks_per_region,
        lease_seconds=conf.transfer.lease_seconds,
        retries=backoff.RetryPolicy(
            retries=conf.task_retry_times,
            base=conf.transfer.retry_base_seconds,
            cap=conf.transfer.retry_max_seconds,
            give_up=conf.transfer.give_up_seconds,
        ),
    )


def slot_settings(conf: cfg.ConfigOpts) -> SlotSettings:
    """Return the settings of slots."""
    return SlotSettings(
        tasks_per_region=conf.transfer.tasks_per_region,
        large_image_bytes=conf.transfer.large_image_mib * _MIB,
    )


def origin_settings(conf: cfg.ConfigOpts) -> OriginSettings:
    """Return the settings of origins."""
    return OriginSettings(
        copies_as_sources=conf.transfer.copies_as_sources,
        small_image_bytes=conf.transfer.small_image_mib * _MIB,
    )


def breaker_policy(conf: cfg.ConfigOpts) -> breakers.BreakerPolicy:
    """Return the policy of circuit breakers."""
    return breakers.BreakerPolicy(
        failures=conf.transfer.region_failures,
        base=conf.transfer.region_pause_seconds,
        cap=conf.transfer.region_pause_max_seconds,
    )
