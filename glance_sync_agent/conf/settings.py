# SPDX-License-Identifier: Apache-2.0
"""The values of ``sync.conf``, read and checked."""

import dataclasses
import pathlib

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent.conf import agent
from glance_sync_agent.conf import api
from glance_sync_agent.conf import metadata
from glance_sync_agent.conf import notifications
from glance_sync_agent.conf import pause_windows
from glance_sync_agent.conf import placement
from glance_sync_agent.conf import reconcile
from glance_sync_agent.conf import sync_conf
from glance_sync_agent.conf import transfer
from glance_sync_agent.conf import upkeep
from glance_sync_agent.conf import verify
from glance_sync_agent.engine.assembly.settings import Settings as EngineSettings


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AgentSettings:
    """What ``sync.conf`` says; the help of an option explains its field."""

    sync_enabled: bool
    cascading_endpoint_url: str
    state_path: pathlib.Path
    store_file: pathlib.Path | None  # None: there is no such file
    rules_file: pathlib.Path | None  # None: there is no such file
    project_map: pathlib.Path | None  # None: there is no such file
    database_url: str = dataclasses.field(repr=False)  # may hold a password
    snapshot_sleep_interval: int  # seconds
    network: agent.NetworkSettings
    api: api.ApiSettings
    bus: notifications.BusSettings
    engine: EngineSettings


def load(conf: cfg.ConfigOpts) -> AgentSettings:
    """Return what ``conf`` says.

    :raises ConfigurationError: a value is missing or out of bounds, or two do not go together.
    """
    try:
        settings = _read(conf)
        lease, idle = settings.engine.attempts.limits.lease, settings.network.idle_seconds
        if lease < 2 * idle:
            raise ValueError(
                f"[transfer] lease_seconds = {lease:g} must be at least twice "
                f"idle_timeout_seconds = {idle:g}"
            )
    except (cfg.Error, ValueError) as exc:
        raise errors.ConfigurationError(
            f"{sync_conf.names(conf)}: {sync_conf.sentence(exc)}"
        ) from exc
    return settings


def _read(conf: cfg.ConfigOpts) -> AgentSettings:
    rules_file = sync_conf.find(
        conf, "strategy", "rules_file", optional=placement.DEFAULT_RULES_FILE
    )
    map_file = sync_conf.find(
        conf, "metadata", "project_map", optional=metadata.DEFAULT_PROJECT_MAP
    )
    bus = notifications.bus_settings(conf)
    return AgentSettings(
        sync_enabled=conf.sync_enabled,
        cascading_endpoint_url=conf.cascading_endpoint_url,
        state_path=pathlib.Path(conf.state_path),
        store_file=sync_conf.find(
            conf, None, "glance_store_cfg_file", optional=agent.DEFAULT_STORE_FILE
        ),
        rules_file=rules_file,
        project_map=map_file,
        database_url=conf.database.connection,
        snapshot_sleep_interval=conf.snapshot_sleep_interval,
        network=agent.network_settings(conf),
        api=api.api_settings(conf),
        bus=bus,
        engine=EngineSettings(
            placement=placement.policy(conf, rules_file),
            metadata=metadata.policy(conf, map_file),
            project_seconds=conf.strategy.keystone_cache_seconds,
            attempts=transfer.attempt_settings(conf),
            worker=transfer.worker_settings(conf),
            pause_windows=pause_windows.parse(conf.transfer.pause_windows),
            slots=transfer.slot_settings(conf),
            origins=transfer.origin_settings(conf),
            breakers=transfer.breaker_policy(conf),
            scans=reconcile.scan_settings(conf, bus.region_urls.keys()),
            verify=verify.verify_settings(conf),
            upkeep=upkeep.upkeep_settings(conf),
        ),
    )
