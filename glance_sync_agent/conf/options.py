# SPDX-License-Identifier: Apache-2.0
"""Every option of ``sync.conf`` that is the agent's own."""

from collections import defaultdict
import copy

from oslo_config import cfg

from glance_sync_agent.conf import agent
from glance_sync_agent.conf import api
from glance_sync_agent.conf import metadata
from glance_sync_agent.conf import notifications
from glance_sync_agent.conf import placement
from glance_sync_agent.conf import reconcile
from glance_sync_agent.conf import transfer
from glance_sync_agent.conf import upkeep
from glance_sync_agent.conf import verify

GROUPS: dict[str | None, list[cfg.Opt]] = defaultdict(list)
for _module in (
    agent, api, placement, metadata, notifications, transfer, reconcile, verify, upkeep
):
    for _group, _options in _module.OPTIONS.items():
        GROUPS[_group] += _options


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return all options for oslo-config-generator."""
    return [(group, copy.deepcopy(options)) for group, options in GROUPS.items()]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the options with ``conf``."""
    for group, options in GROUPS.items():
        conf.register_opts(options, group=group)
