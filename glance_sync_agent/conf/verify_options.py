# SPDX-License-Identifier: Apache-2.0
"""Options about reading copies back."""

from oslo_config import cfg

OPTIONS = [
    cfg.FloatOpt(
        "interval",
        default=0.0,
        min=0,
        mutable=True,
        help="Seconds in which the agent reads every copy back once and compares it with the "
        "hash of its source, give or take a tenth; what is damaged at rest, or has no data any "
        "more, is replaced. 2592000 is a month. When a copy was read is kept in the database. "
        "0, the default: never, because it reads all that there is; 'glance-sync verify' does "
        "so when it is asked to. Of several agents that share a database one reads.",
    ),
    cfg.IntOpt(
        "max_bytes_per_second",
        default=32 * 1024 * 1024,
        min=0,
        mutable=True,
        help="Bytes of copies that are read back in a second, all regions together, by the "
        "agent and by each 'glance-sync verify'; 0: no limit. 32 MiB are a quarter of a "
        "gigabit link, and 2.6 TiB a day. Below 1 MiB a Glance may take its reader for dead.",
    ),
    cfg.IntOpt(
        "max_repairs",
        default=10,
        min=0,
        mutable=True,
        help="Copies of one region that are replaced because they were found damaged together, "
        "in one run of 'glance-sync verify' or in some ten minutes of the agent. More than that "
        "looks like a store that is not mounted: then none is, and the log says how to go on.",
    ),
]
