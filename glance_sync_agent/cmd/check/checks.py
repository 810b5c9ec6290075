# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-manage check``: every link between the agent and the copies, tried once.

Nothing is left behind anywhere.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import dataclasses
import functools

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import first_start
from glance_sync_agent.cmd.check import local_checks
from glance_sync_agent.cmd.check import location_checks
from glance_sync_agent.cmd.check import marked_checks
from glance_sync_agent.cmd.check import region_checks
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import strategy
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue

_TIMEOUT_SECONDS = 10
_LOOKS_AT_ONCE = 16

Look = Callable[[], findings.Finding]
Future = futures.Future[findings.Finding]


class Checks:
    """The links behind one configuration."""

    def __init__(
        self, conf: cfg.ConfigOpts, current: wiring.CurrentSettings, *, is_quick: bool = False
    ) -> None:
        """Take over the configuration, with times short enough for somebody who waits.

        :param is_quick: nothing is made, not even for a moment, and images are not compared.
        """
        credentials = conf[wiring.CREDENTIALS]
        timeout = min(credentials.timeout or _TIMEOUT_SECONDS, _TIMEOUT_SECONDS)
        conf.set_override("timeout", timeout, group=wiring.CREDENTIALS)
        settings = current.settings
        current.settings = dataclasses.replace(
            settings,
            ssh_connect_timeout_seconds=min(settings.ssh_connect_timeout_seconds, timeout),
            connect_timeout_seconds=min(settings.connect_timeout_seconds, timeout),
            idle_timeout_seconds=min(settings.idle_timeout_seconds, timeout),
        )
        self._conf = conf
        self._current = current
        self._is_quick = is_quick
        self._cloud = wiring.Cloud(conf, current)

    def run(self) -> Iterator[findings.Finding]:
        """Look at all links, several at once; yield them in a fixed order, each when it is known.

        A link that depends on another is looked at when that is known to be good.
        """
        pool = futures.ThreadPoolExecutor(_LOOKS_AT_ONCE, thread_name_prefix="check")
        try:
            yield from local_checks.files(self._conf, self._current.settings)
            first = [
                pool.submit(local_checks.state_path, self._current.settings.state_path),
                pool.submit(local_checks.database, self._current),
                pool.submit(self._bus),
                *(
                    pool.submit(self._region_bus, *pair)
                    for pair in sorted(self._current.settings.region_buses.items())
                ),
            ]
            identity = pool.submit(self._identity)
            later = pool.submit(self._behind_keystone, identity, pool)
            for future in (*first, identity):
                yield future.result()
            seen = {}
            for future in later.result():
                seen[future.result().link] = future.result().verdict
                yield future.result()
            if not self._is_quick:
                needed = {first[1].result().verdict, seen["catalogue"]}
                is_bad = needed & {findings.Level.FAIL, findings.Level.SKIP}
                why_not = "needs the database and the catalogue" if is_bad else None
                yield from marked_checks.look(self._conf, self._current, why_not=why_not)
                yield first_start.look(self._conf, self._current, why_not=why_not)
        finally:
            pool.shutdown(cancel_futures=True)
            self._cloud.close()

    def _bus(self) -> findings.Finding:
        return findings.look(
            "message bus",
            functools.partial(wiring.check_bus, self._conf, self._current),
            functools.partial(
                self._bus_remedy,
                "set transport_url in sync.conf to that of the cascading Glance; on the broker: "
                "rabbitmqctl status, rabbitmqctl list_vhosts, rabbitmqctl list_permissions",
            ),
        )

    def _region_bus(self, region: images.RegionId, url: str) -> findings.Finding:
        return findings.look(
            f"bus of {region}",
            functools.partial(wiring.check_region_bus, self._conf, self._current, region, url),
            functools.partial(
                self._bus_remedy,
                "set it in [notifications] region_transport_urls to the transport_url of that "
                "region's Glance",
            ),
        )

    def _bus_remedy(self, way_there: str, exc: errors.SyncError) -> str:
        if isinstance(exc, errors.Refused):
            return probe.remedy(self._current.settings.pool)
        return way_there

    def _identity(self) -> findings.Finding:
        link = "Keystone"
        section = self._conf[wiring.CREDENTIALS]

        def probe() -> str | findings.Finding:
            catalogue = self._cloud.catalogue
            roles = catalogue.roles()
            user = _first(section, "username", "user_id") or "USER"
            project = _first(section, "project_name", "project_id") or "PROJECT"
            seen = f"{user} in {project} has the roles {', '.join(sorted(roles)) or 'none'}"
            add = f"openstack role add --user {user} --project {project} "
            if "admin" not in roles:
                return findings.failure(link, f"{seen}, not admin", f"{add}admin")
            if self._current.settings.metadata_policy.owner is metadata_policy.Owner.AGENT:
                catalogue.own_project()
            if "service" not in roles:
                return findings.warning(link, f"{seen}, not service", f"{add}service")
            return seen

        return findings.look(
            link,
            probe,
            lambda _: f"correct [{wiring.CREDENTIALS}] in sync.conf; the same values have to work "
            f"for: openstack --os-auth-url {_first(section, 'auth_url')} token issue",
        )

    def _behind_keystone(
        self, identity: Future, pool: futures.ThreadPoolExecutor
    ) -> list[Future]:
        if identity.result().verdict is findings.Level.FAIL:
            why = "needs Keystone"
            return [_known(findings.skipped(one, why)) for one in ("catalogue", "regions")]
        catalogue = self._cloud.catalogue
        found = self._catalogue(catalogue)
        if found.verdict is findings.Level.FAIL:
            return [_known(found), _known(findings.skipped("regions", "needs the catalogue"))]
        looks = self._regions(catalogue)
        return [_known(found), *(pool.submit(one) for one in looks)]

    def _catalogue(self, catalogue: KeystoneCatalogue) -> findings.Finding:
        link = "catalogue"
        interface = self._conf[wiring.CREDENTIALS].interface

        def probe() -> str | findings.Finding:
            cascading = catalogue.cascading
            remembered, known = self._remembered()
            wiring.check_cascading(remembered, cascading)
            gone = wiring.check_named_regions(
                self._current, catalogue.regions(), cascading, known
            )
            if gone:
                return findings.failure(
                    link,
                    "\n".join(gone),
                    "remove the name there; then glance-sync-manage region forget REGION. If the "
                    "region has a new name: glance-sync-manage region rename OLD NEW",
                )
            targets = sorted(catalogue.regions() - {cascading})
            if not targets:
                return findings.warning(
                    link,
                    f"{cascading} is the only region with an image endpoint",
                    f"openstack endpoint create --region REGION image {interface} URL",
                )
            rules = self._current.settings.policy.rules
            if nowhere := sorted(strategy.names_without_region(rules, targets)):
                return findings.warning(
                    link,
                    f"rules name what is no region to copy to: {', '.join(nowhere)}; there are "
                    f"{', '.join(targets)}",
                    f"correct {self._current.settings.rules_file}",
                )
            return f"images of {cascading} go to {', '.join(targets)}"

        return findings.look(
            link,
            probe,
            lambda _: "cascading_endpoint_url in sync.conf has to be one of these, and regions "
            "have to be named as there: openstack endpoint list --service image --interface "
            f"{interface}",
        )

    def _remembered(self) -> tuple[images.RegionId | None, frozenset[images.RegionId]]:
        """Return what the database knows of regions; nothing if it cannot be read."""
        with known_tasks.opened(self._current) as store:
            known = store.known_regions()
            try:
                return known.cascading(), known.all()
            except errors.SyncError:  # the link of the database says that
                return None, frozenset()

    def _regions(self, catalogue: KeystoneCatalogue) -> list[Look]:
        session = self._cloud.session
        regions = sorted(catalogue.regions(), key=lambda one: (one != catalogue.cascading, one))
        # A snapshot of another region may go to the cascading one, too.
        named = self._current.settings.policy.snapshot_regions
        targets = {*catalogue.regions()} - ({catalogue.cascading} - named)
        looks: list[Look] = [
            functools.partial(
                region_checks.glance,
                region,
                catalogue,
                session,
                takes_copies=region in targets and not self._is_quick,
            )
            for region in regions
        ]
        if (map_file := self._current.settings.project_map) is not None:
            policy = self._current.settings.metadata_policy
            looks.append(
                functools.partial(region_checks.project_map, map_file, policy, regions)
            )
        if self._current.settings.record_locations:
            interface = self._conf[wiring.CREDENTIALS].interface
            looks += location_checks.looks(regions, catalogue, session, interface)
        try:
            services = self._cloud.regions
        except errors.ConfigurationError:
            return looks  # glance_store.yaml: that is known already
        file = self._current.settings.store_file
        if file is None:
            return looks
        looks += [
            functools.partial(
                region_checks.store, one, services, file, is_source=one == catalogue.cascading
            )
            for one in regions
        ]
        return [*looks, functools.partial(region_checks.unused_entries, services, regions, file)]


def _known(finding: findings.Finding) -> Future:
    future: Future = futures.Future()
    future.set_result(finding)
    return future


def _first(section: object, *names: str) -> object:
    """Return the first option with a value; which there are is up to the ``auth_type``."""
    return next((value for name in names if (value := getattr(section, name, None))), None)
