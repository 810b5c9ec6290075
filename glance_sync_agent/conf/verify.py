# SPDX-License-Identifier: Apache-2.0
"""The options about reading copies back."""

from oslo_config import cfg

from glance_sync_agent.engine.verify.verify_settings import VerifySettings

OPTIONS = {
    "verify": [
        cfg.FloatOpt(
            "interval", default=0.0, min=0, max=315_360_000, mutable=True,
            help="Seconds in which the agent reads every copy back once, give or take a tenth; 0: "
            "never. It replaces copies whose data is damaged or missing. Enable it if stores may "
            "lose data; 2592000 is a month. It reads all data of all copies. One of several "
            "agents with the same database reads.",
        ),
        cfg.IntOpt(
            "max_bytes_per_second", default=32 * 1024 * 1024, min=0, mutable=True,
            help="Limits reading to this many bytes a second for all regions together, in the "
            "agent and in each 'glance-sync verify'; 0: no limit. 32 MiB are a quarter of a "
            "gigabit link and 2.6 TiB a day. Below 1 MiB, a Glance may end the connection.",
        ),
        cfg.IntOpt(
            "max_repairs", default=10, min=0, mutable=True,
            help="Damaged copies of one region that one 'glance-sync verify', or ten minutes of "
            "the agent, may replace. If there are more, none is replaced, because the store may "
            "not be mounted; the log says how to continue.",
        ),
    ],
}


def verify_settings(conf: cfg.ConfigOpts) -> VerifySettings:
    """Return the settings of verification."""
    return VerifySettings(
        interval=conf.verify.interval,
        max_bytes_per_second=conf.verify.max_bytes_per_second,
        max_repairs=conf.verify.max_repairs,
    )
