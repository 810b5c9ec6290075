# SPDX-License-Identifier: Apache-2.0
"""The values of ``sync.conf``, read and checked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import pathlib
import re

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent.conf import metadata_options
from glance_sync_agent.conf import options
from glance_sync_agent.conf import project_map
from glance_sync_agent.conf import strategy_file
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import strategy


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What ``sync.conf`` says. Fields are the options; their help is in :mod:`.options`."""

    sync_enabled: bool
    policy: strategy.PlacementPolicy
    snapshot_timeout: int  # seconds
    snapshot_sleep_interval: int  # seconds
    rules_file: pathlib.Path | None  # None: there is no such file
    keystone_cache_seconds: float
    metadata_policy: metadata_policy.MetadataPolicy
    project_map: pathlib.Path | None  # None: there is no such file
    cascading_endpoint_url: str
    record_locations: bool
    task_retry_times: int
    scp_copy_timeout: int  # seconds; 0: no limit
    state_path: pathlib.Path
    store_file: pathlib.Path | None  # None: there is no such file
    topics: tuple[str, ...]
    exchange: str
    pool: str
    prefetch: int
    #: Message buses of cascaded regions. URLs hold passwords.
    region_buses: Mapping[images.RegionId, str] = dataclasses.field(repr=False)
    connection: str = dataclasses.field(repr=False)  # may hold a password
    known_hosts: str
    ssh_connect_timeout_seconds: float
    tasks_per_region: int
    small_image_bytes: int
    large_image_bytes: int
    copies_as_sources: bool
    connect_timeout_seconds: float
    idle_timeout_seconds: float
    retry_base_seconds: float
    retry_max_seconds: float
    give_up_seconds: float
    vanished_pause_seconds: float
    lease_seconds: float
    region_failures: int
    region_pause_seconds: float
    region_pause_max_seconds: float
    reconcile_interval: float
    reconcile_changes_interval: float
    members_interval: float  # seconds; 0: in each look at everything
    max_deletes: int
    gone_grace: float
    delete_out_of_strategy: bool
    verify_interval: float  # seconds; 0: never
    verify_bytes_per_second: int  # 0: no limit
    max_repairs: int


Register = Callable[[cfg.ConfigOpts], None]


def parse_files(
    arguments: Sequence[str], *, prog: str, description: str, register: Sequence[Register] = ()
) -> cfg.ConfigOpts:
    """Read the files that the command line names, or else those where operators keep them.

    ``--config-file`` and ``--config-dir`` work as everywhere in OpenStack. The default is
    ``sync.conf`` in ``~/.glance``, ``~``, ``/etc/glance`` and ``/etc``.

    :param register: adds the options of libraries.
    :raises ConfigurationError: no file, one that cannot be read, or a bad value in one.
    """
    conf = cfg.ConfigOpts()
    options.register(conf)
    for more in register:
        more(conf)
    try:
        conf(
            list(arguments),
            project="glance",
            prog=prog,
            description=description,
            default_config_files=cfg.find_config_files(project="glance", prog="sync"),
            default_config_dirs=cfg.find_config_dirs(project="glance", prog="sync"),
        )
    except (cfg.Error, OSError) as exc:
        raise errors.ConfigurationError(f"could not read the configuration: {exc}") from exc
    if not conf.config_file and not conf.config_dir:
        raise errors.ConfigurationError(
            "found no sync.conf in ~/.glance, ~, /etc/glance or /etc; name one with --config-file"
        )
    _check_values(conf)
    return conf


def _check_values(conf: cfg.ConfigOpts) -> None:
    """Read every option, because oslo.config checks a value only when somebody asks for it."""
    problems = list(_bad_values(conf))
    if problems:
        raise errors.ConfigurationError("\n".join(f"{_files(conf)}: {one}" for one in problems))


def _bad_values(values: Mapping[str, object]) -> Iterator[str]:
    for name in values:
        try:
            value = values[name]
        except (cfg.Error, ValueError) as exc:
            yield _said(exc)
        else:
            if isinstance(value, cfg.ConfigOpts.GroupAttr):
                yield from _bad_values(value)


def load(conf: cfg.ConfigOpts) -> Settings:
    """Return what ``conf`` says.

    :raises ConfigurationError: a value is missing or out of bounds, or two do not go together.
    """
    try:
        settings = _read(conf)
    except (cfg.Error, ValueError) as exc:
        raise errors.ConfigurationError(f"{_files(conf)}: {_said(exc)}") from exc
    if settings.lease_seconds < 2 * settings.idle_timeout_seconds:
        raise errors.ConfigurationError(
            f"{_files(conf)}: [transfer] lease_seconds = {settings.lease_seconds:g} must be at "
            f"least twice idle_timeout_seconds = {settings.idle_timeout_seconds:g}"
        )
    return settings


def _said(exc: Exception) -> str:
    """Return oslo.config's message with the file in the place of an object that names it."""
    return re.sub(r"LocationInfo\(.*detail='(.*?)'\)", r"\1", str(exc))


def _read(conf: cfg.ConfigOpts) -> Settings:
    rules_file = _found(conf, "strategy", "rules_file", optional=options.DEFAULT_RULES_FILE)
    map_file = _found(
        conf, "metadata", "project_map", optional=metadata_options.DEFAULT_PROJECT_MAP
    )
    return Settings(
        sync_enabled=conf.sync_enabled,
        policy=_policy(conf, rules_file),
        snapshot_timeout=conf.snapshot_timeout,
        snapshot_sleep_interval=conf.snapshot_sleep_interval,
        rules_file=rules_file,
        keystone_cache_seconds=conf.strategy.keystone_cache_seconds,
        metadata_policy=_metadata_policy(conf, map_file),
        project_map=map_file,
        cascading_endpoint_url=conf.cascading_endpoint_url,
        record_locations=conf.record_locations,
        task_retry_times=conf.task_retry_times,
        scp_copy_timeout=conf.scp_copy_timeout,
        state_path=pathlib.Path(conf.state_path),
        store_file=_found(
            conf, None, "glance_store_cfg_file", optional=options.DEFAULT_STORE_FILE
        ),
        topics=tuple(conf.notifications.topics),
        exchange=conf.notifications.exchange,
        pool=conf.notifications.pool,
        prefetch=conf.notifications.prefetch,
        region_buses=_region_buses(conf.notifications.region_transport_urls),
        connection=conf.database.connection,
        known_hosts=conf.ssh.known_hosts,
        ssh_connect_timeout_seconds=conf.ssh.connect_timeout_seconds,
        tasks_per_region=conf.transfer.tasks_per_region,
        small_image_bytes=conf.transfer.small_image_mib * 1024 * 1024,
        large_image_bytes=conf.transfer.large_image_mib * 1024 * 1024,
        copies_as_sources=conf.transfer.copies_as_sources,
        connect_timeout_seconds=conf.transfer.connect_timeout_seconds,
        idle_timeout_seconds=conf.transfer.idle_timeout_seconds,
        retry_base_seconds=conf.transfer.retry_base_seconds,
        retry_max_seconds=conf.transfer.retry_max_seconds,
        give_up_seconds=conf.transfer.give_up_seconds,
        vanished_pause_seconds=conf.transfer.vanished_pause_seconds,
        lease_seconds=conf.transfer.lease_seconds,
        region_failures=conf.transfer.region_failures,
        region_pause_seconds=conf.transfer.region_pause_seconds,
        region_pause_max_seconds=conf.transfer.region_pause_max_seconds,
        reconcile_interval=conf.reconcile.interval,
        reconcile_changes_interval=conf.reconcile.changes_interval,
        members_interval=conf.reconcile.members_interval,
        max_deletes=conf.reconcile.max_deletes,
        gone_grace=conf.reconcile.gone_grace,
        delete_out_of_strategy=conf.reconcile.delete_out_of_strategy,
        verify_interval=conf.verify.interval,
        verify_bytes_per_second=conf.verify.max_bytes_per_second,
        max_repairs=conf.verify.max_repairs,
    )


def _policy(conf: cfg.ConfigOpts, rules_file: pathlib.Path | None) -> strategy.PlacementPolicy:
    return strategy.PlacementPolicy(
        strategy=strategy.Strategy(conf.sync_strategy.lower()),
        # Read under every strategy, so that a mistake shows before the day it is needed.
        rules=strategy_file.load(rules_file) if rules_file else (),
        snapshot_regions=frozenset(map(images.RegionId, conf.snapshot_region_names)),
        volume_backed=conf.snapshots.volume_backed,
        shelved=conf.snapshots.shelved,
        unfiltered_projects_may_use_all=conf.strategy.unfiltered_projects_may_use_all,
    )


def _region_buses(texts: Sequence[str]) -> Mapping[images.RegionId, str]:
    found: dict[images.RegionId, str] = {}
    for number, text in enumerate(texts, 1):
        name, _colon, url = text.partition(":")
        region = images.RegionId(name.strip())
        if not region or "://" not in url:
            # Without the text, which may hold a password.
            raise ValueError(
                "[notifications] region_transport_urls: expected REGION:URL, such as "
                f"RegionTwo:rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST, in entry {number}"
            )
        if region in found:
            raise ValueError(f"[notifications] region_transport_urls: {region} is given twice")
        found[region] = url.strip()
    return found


def _metadata_policy(
    conf: cfg.ConfigOpts, map_file: pathlib.Path | None
) -> metadata_policy.MetadataPolicy:
    given = conf.metadata
    owner = metadata_policy.Owner(given.owner.lower())
    if owner is metadata_policy.Owner.MAPPED and map_file is None:
        raise errors.ConfigurationError(
            f"{_files(conf)}: [metadata] owner = mapped needs the file of [metadata] project_map, "
            f"and there is no {given.project_map} beside sync.conf"
        )
    return metadata_policy.MetadataPolicy(
        exclude_properties=tuple(given.exclude_properties),
        owner=owner,
        # Read whoever owns copies, so that a mistake shows before the day it is needed.
        project_map=project_map.load(map_file) if map_file else {},
        visibility=metadata_policy.Visibility(given.visibility.lower()),
        members=given.members,
    )


def _found(
    conf: cfg.ConfigOpts, group: str | None, option: str, *, optional: str
) -> pathlib.Path | None:
    """Find a file that an option names, beside sync.conf unless it is a whole path.

    :param optional: the name under which it may be absent, the default.
    """
    name = conf[group][option] if group else conf[option]
    path = pathlib.Path(name)
    if not path.is_absolute():
        directories = [pathlib.Path(file).parent for file in conf.config_file or ()]
        directories += [pathlib.Path(directory).parent for directory in conf.config_dir or ()]
        found = [directory / name for directory in directories if (directory / name).exists()]
        path = found[-1] if found else path
    if path.exists():
        return path
    if name == optional:
        return None
    where = f"[{group}] " if group else ""
    raise errors.ConfigurationError(
        f"{_files(conf)}: {where}{option} = {name}: there is no such file"
    )


def _files(conf: cfg.ConfigOpts) -> str:
    return ", ".join(str(file) for file in conf.config_file or conf.config_dir or ["sync.conf"])
