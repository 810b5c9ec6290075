# SPDX-License-Identifier: Apache-2.0
"""What happens how often in a soak run: operations, faults, sizes and pauses by weight."""

from collections.abc import Mapping

MIB = 1024 * 1024
REGIONS = ("RegionTwo", "RegionThree", "RegionFour")
#: The regions of snapshots.
SNAPSHOT_REGIONS = ("RegionTwo", "RegionFour")
USERS = ("alice", "bob")
AGENTS = 3
#: Seconds until the task of a dead agent is free again.
LEASE_SECONDS = 10
#: A window of one minute pauses this region, again and again.
WINDOW_REGION = "RegionFour"
WINDOW_EVERY_MINUTES = 4

#: Bytes: sizes for the image API, for SSH, and without data.
SIZES: Mapping[int, int] = {
    0: 2, 1: 1, 1000: 3, 64 * 1024: 6, MIB: 4, 3 * MIB: 4, 9 * MIB: 3, 24 * MIB: 1,
}
#: Properties of an image that choose its regions.
CHOICES: Mapping[tuple[tuple[str, str], ...], int] = {
    (): 10,
    (("sync_regions", "*"),): 1,
    (("sync_regions", "none"),): 1,
    (("sync_regions", "RegionTwo"),): 1,
    (("sync_regions", "RegionThree,RegionFour"),): 1,
    (("image_type", "snapshot"),): 2,
}
VISIBILITIES: Mapping[str, int] = {"shared": 6, "private": 2, "community": 1, "public": 1}

#: Images that users make from copies, with all their properties, by weight.
IMAGED: Mapping[str, int] = {
    "snapshot": 4,
    "queue": 2,  # a snapshot that has no data yet
    "fill": 2,  # one of those gets data
    "backup": 1,
    "shelve": 1,
    "volumes": 1,  # a snapshot of a server with volumes only
    "volume": 1,
    "script": 2,
    "forge": 1,  # by a script, and the mark names the image itself
    "replicate": 2,
}
#: Operations by weight; all but the first need an image.
OPERATIONS: Mapping[str, int] = {
    "create": 24,
    "publish": 3,  # with all properties of a copy
    "change": 16,
    "visibility": 6,
    "protect": 4,
    "hide": 3,
    "share": 10,
    "answer": 4,
    "unshare": 4,
    "deactivate": 4,
    "reactivate": 4,
    "delete": 18,
    **IMAGED,
}
#: Faults by lane and weight.
FAULTS: Mapping[str, Mapping[str, int]] = {
    "services": {
        "broker stopped": 3,
        "broker killed": 2,
        "keystone stopped": 3,
    },
    "glances": {
        "source glance stopped": 3,
        "target glance stopped": 4,
        "target glance killed": 3,
        "target glance refuses": 6,
        "target glance frozen": 3,
    },
    "database": {
        "database stopped": 3,
        "database connections cut": 3,
        "database crashed": 3,
        "database frozen": 1,
    },
    "agents": {
        "agent killed": 8,
        "agent restarted": 3,
        "agent frozen": 2,
        "agent reloads": 3,
    },
    "hosts": {
        "sshd killed": 4,
        "sshd frozen": 4,
        "sshd restarted": 2,
    },
    "hands": {
        "copy deleted": 4,
        "copy changed": 4,
        "copy deactivated": 1,
        "copy damaged": 3,
    },
}
#: Requests of operators by lane and weight.
OPERATORS: Mapping[str, Mapping[str, int]] = {
    "pauses": {
        "region paused": 3,
        "region paused to finish": 2,
        "region resumed": 6,
    },
    "tasks": {
        "image cancelled": 6,
        "image retried": 1,
        "image synced": 1,
    },
    "scans": {
        "scan cancelled": 1,
    },
}
REFUSALS = (
    "PUT 500", "PUT 503", "PUT 401", "POST 500", "POST 503", "PATCH 500", "PATCH 503",
    "DELETE 500", "GET 500", "GET 503", "GET 401",
)
#: Seconds between two events of a lane, the mean.
PAUSES: Mapping[str, float] = {
    **dict.fromkeys(USERS, 1.0),
    "services": 20.0,
    "glances": 8.0,
    "database": 15.0,
    "agents": 7.0,
    "hosts": 9.0,
    "hands": 4.0,
    "pauses": 6.0,
    "tasks": 3.0,
    "scans": 20.0,
}
#: The most images of a user.
MOST = 25
