# SPDX-License-Identifier: Apache-2.0
"""The options about scans."""

from collections.abc import Set

from oslo_config import cfg

from glance_sync_agent.domain import images
from glance_sync_agent.engine.reconcile.scan_settings import ScanIntervals
from glance_sync_agent.engine.reconcile.scan_settings import ScanSettings

OPTIONS = {
    "reconcile": [
        cfg.FloatOpt(
            "interval", default=600.0, min=0, mutable=True,
            help="Seconds from the end of one full scan to the start of the next, give or take a "
            "tenth; 0: none but those at start and after a reload. A full scan compares every "
            "image with its copies and requests the differences. Raise it in a large cloud. One "
            "of several agents with the same database scans.",
        ),
        cfg.FloatOpt(
            "changes_interval", default=60.0, min=0, mutable=True,
            help="Seconds between two incremental scans, give or take a tenth; 0: none. Such a "
            "scan catches up on changes without a message, except deletions and members. Without "
            "changes it costs two requests to the cascading Glance.",
        ),
        cfg.FloatOpt(
            "members_interval", default=86400.0, min=0, mutable=True,
            help="Seconds within which full scans compare the members of each shared image once; "
            "0: all of them in each scan. Lower it if members often change without a message. The "
            "comparison costs one request for the image and one for each copy.",
        ),
        cfg.IntOpt(
            "max_deletes", default=10, min=0, mutable=True,
            help="Images whose copies one scan may delete. If there are more, it deletes none, "
            "because the cascading region or the rules may be broken; the log says how to "
            "continue. Deletions with a message do not count.",
        ),
        cfg.FloatOpt(
            "gone_grace", default=86400, min=0, mutable=True,
            help="Seconds after which a missing image counts as deleted if no message announced "
            "its deletion; 0: at once. A Glance that was restored from a backup misses images "
            "that nobody deleted. Set it to the time that operators need to notice that.",
        ),
        cfg.BoolOpt(
            "delete_out_of_strategy", default=False, mutable=True,
            help="Delete a copy in the next full scan, within max_deletes, if its image no longer "
            "belongs in the region: because of a rule, the property sync_regions, or Keystone's "
            "endpoint filter. If false, such copies stay until their source is deleted.",
        ),
    ],
}


def scan_settings(
    conf: cfg.ConfigOpts, snapshot_origins: Set[images.RegionId]
) -> ScanSettings:
    """Return the settings of scans."""
    return ScanSettings(
        intervals=ScanIntervals(
            full=conf.reconcile.interval,
            incremental=conf.reconcile.changes_interval,
            members=conf.reconcile.members_interval,
        ),
        max_deletes=conf.reconcile.max_deletes,
        gone_grace=conf.reconcile.gone_grace,
        snapshot_origins=snapshot_origins,
    )
