# SPDX-License-Identifier: Apache-2.0
"""The options about the regions in which an image belongs."""

import pathlib

from oslo_config import cfg
from oslo_config import types

from glance_sync_agent.conf import strategy_file
from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy

DEFAULT_RULES_FILE = "sync_strategy.yaml"  # may be absent

OPTIONS = {
    None: [
        cfg.Opt(
            "sync_strategy",
            type=types.String(
                choices=[
                    ("None", "copy nothing"),
                    ("ALL", "every region with an image endpoint, except the cascading one"),
                    (
                        "USER",
                        (
                            "the image's property sync_regions, or else the rules of [strategy] "
                            "rules_file, or else the regions of the owner's project in Keystone's "
                            "endpoint filter"
                        ),
                    ),
                ],
                ignore_case=True,
            ),
            default="ALL", mutable=True,
            help="The regions that get a copy of an image; case does not matter. Choose USER if "
            "owners or rules decide. An image with the property sync_regions = none goes to no "
            "region, with ALL as well.",
        ),
        cfg.ListOpt(
            "snapshot_region_names", default=[], mutable=True,
            help="Regions that get snapshots of servers and volumes; empty: those of other "
            "images. With sync_strategy = USER, only those of them that the owner's project may "
            "use. Each name must have been in Keystone's catalogue at some time.",
        ),
    ],
    "strategy": [
        cfg.StrOpt(
            "rules_file", default=DEFAULT_RULES_FILE, mutable=True,
            help="File with the rules for sync_strategy = USER: a path, or a name beside "
            "sync.conf. The agent reads it at start and at SIGHUP.",
        ),
        cfg.FloatOpt(
            "keystone_cache_seconds", default=60.0, min=0.0, max=86400.0, mutable=True,
            help="Seconds for which the agent keeps what Keystone says about a project, such as "
            "its tags and endpoints. Lower it if a change there must take effect sooner; an "
            "older answer is never used.",
        ),
        cfg.BoolOpt(
            "unfiltered_projects_may_use_all", default=True, mutable=True,
            help="Let a project use every region if Keystone associates it with no endpoint. "
            "Set it to the value of [endpoint_filter] return_all_endpoints_if_no_filter in "
            "keystone.conf.",
        ),
    ],
    "snapshots": [
        cfg.BoolOpt(
            "volume_backed", default=False, mutable=True,
            help="Copy snapshots of servers whose disks are volumes: images without data that "
            "name volume snapshots. Enable it only if the other regions have those volume "
            "snapshots.",
        ),
        cfg.BoolOpt(
            "shelved", default=False, mutable=True,
            help="Copy the images of shelved servers: image_type = snapshot, an instance_uuid, "
            "and a name that ends in -shelved. Enable it only if other regions need them, "
            "because Nova deletes the image in its own region when the server is unshelved.",
        ),
    ],
}


def policy(conf: cfg.ConfigOpts, rules_file: pathlib.Path | None) -> strategy.PlacementPolicy:
    """Return the policy.

    :raises ConfigurationError: the rules are wrong.
    """
    return strategy.PlacementPolicy(
        strategy=strategy.Strategy(conf.sync_strategy.lower()),
        # Read under every strategy, so that a mistake shows before the day it is needed.
        rules=strategy_file.load(rules_file) if rules_file else (),
        snapshot_regions=frozenset(map(images.RegionId, conf.snapshot_region_names)),
        volume_backed=conf.snapshots.volume_backed,
        shelved=conf.snapshots.shelved,
        unfiltered_projects_may_use_all=conf.strategy.unfiltered_projects_may_use_all,
    )
