# SPDX-License-Identifier: Apache-2.0
"""The options about the history, and about what counts as late."""

from oslo_config import cfg

from glance_sync_agent.engine.upkeep.upkeep_settings import UpkeepSettings

OPTIONS = {
    "history": [
        cfg.FloatOpt(
            "days", default=30.0, min=0, max=36_500, mutable=True,
            help="Days for which the database keeps events: what was done to copies, what failed, "
            "and what people asked for. Raise it if you have to prove older deletions; an event "
            "takes about 500 bytes.",
        ),
    ],
    "api": [
        cfg.FloatOpt(
            "completion_target_seconds", default=900.0, min=0, max=31_536_000, mutable=True,
            help="Seconds within which a requested copy should be done. A task that waits longer "
            "counts as late in 'glance-sync summary'. Raise it if your images take longer.",
        ),
    ],
}


def upkeep_settings(conf: cfg.ConfigOpts) -> UpkeepSettings:
    """Return the settings of the history and of lateness."""
    return UpkeepSettings(
        history_days=conf.history.days,
        completion_target=conf.api.completion_target_seconds,
    )
