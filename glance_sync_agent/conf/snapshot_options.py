# SPDX-License-Identifier: Apache-2.0
"""What is different for snapshots of servers and volumes."""

from oslo_config import cfg

DEFAULT = [
    cfg.ListOpt(
        "snapshot_region_names",
        default=[],
        mutable=True,
        help="Regions that snapshots of servers and volumes go to. Empty: to those that other "
        "images of their owner go to. With sync_strategy = USER, only those of them that the "
        "owner's project may use, because every user can call an image a snapshot. A name that "
        "was never in Keystone's catalogue keeps the agent from starting. One that has left the "
        "catalogue is a warning.",
    ),
    cfg.IntOpt(
        "snapshot_timeout",
        default=300,
        min=1,
        mutable=True,
        help="Seconds that a snapshot which was announced may take to become active. After that "
        "its tasks fail; it is copied all the same when Glance says that it is active.",
    ),
    cfg.IntOpt(
        "snapshot_sleep_interval",
        default=10,
        min=1,
        mutable=True,
        help="Seconds between two looks at the snapshots that are waited for. One question is "
        "for a hundred of them, so many cost hardly more than one.",
    ),
]

OPTIONS = [
    cfg.BoolOpt(
        "volume_backed",
        default=False,
        mutable=True,
        help="Bring the snapshots of servers whose disks are volumes to other regions, too. Such "
        "an image is a record without data, whose property block_device_mapping names snapshots "
        "of volumes in its own region. Off by default, because no server can be made of it where "
        "these are not.",
    ),
    cfg.BoolOpt(
        "shelved",
        default=False,
        mutable=True,
        help="Bring the images that Nova keeps of shelved servers to other regions, as it does "
        "with snapshots. Such an image has image_type snapshot, an instance_uuid, and a name "
        "that ends in -shelved; nothing else tells it from a snapshot. Off by default, because "
        "Nova deletes it when the server is unshelved, in its own region.",
    ),
]
