# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-manage check``: tries every link between the agent and the copies once."""

from collections.abc import Iterator, Mapping
from concurrent import futures
import dataclasses

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import api_checks
from glance_sync_agent.cmd.check import bus_checks
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import first_start
from glance_sync_agent.cmd.check import fleet_checks
from glance_sync_agent.cmd.check import keystone_checks
from glance_sync_agent.cmd.check import local_checks
from glance_sync_agent.cmd.check import marked_checks
from glance_sync_agent.cmd.check import region_checks
from glance_sync_agent.domain import images
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration
from glance_sync_agent.wiring.configuration import CREDENTIALS

_TIMEOUT_SECONDS = 10
_CHECKS_AT_ONCE = 16

Future = futures.Future[findings.Finding]


class Checks:
    """The links behind one configuration. Leaves nothing behind anywhere."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        is_quick: bool = False,
        only: images.RegionId | None = None,
    ) -> None:
        """Take over the configuration, and shorten its timeouts for the person who waits.

        :param is_quick: make nothing, not even for a moment, and do not compare images.
        :param only: the one region to check; None: all.
        """
        self._only = only
        conf, settings = configuration.conf, configuration.settings
        timeout = min(conf[CREDENTIALS].timeout or _TIMEOUT_SECONDS, _TIMEOUT_SECONDS)
        conf.set_override("timeout", timeout, group=CREDENTIALS)
        configuration.settings = dataclasses.replace(
            settings, network=settings.network.at_most(timeout)
        )
        self._configuration = configuration
        self._is_quick = is_quick
        self._cloud = Cloud(configuration)

    def run(self) -> Iterator[findings.Finding]:
        """Check all links, several at once; yield the findings in a fixed order.

        A link that depends on another waits until that one is good.
        """
        configuration, settings = self._configuration, self._configuration.settings
        pool = futures.ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="check")
        try:
            yield from local_checks.files(configuration)
            database = pool.submit(local_checks.database, settings.database_url)
            identity = pool.submit(keystone_checks.identity, self._cloud)
            first = [
                pool.submit(local_checks.state_path, settings.state_path),
                *([pool.submit(api_checks.port, settings.api)] if settings.api.is_enabled else []),
                database,
                pool.submit(bus_checks.cascading_bus, configuration),
                *(
                    pool.submit(bus_checks.region_bus, configuration, region)
                    for region in sorted(settings.bus.region_urls)
                    if self._only in {None, region}
                ),
                identity,
            ]
            later = pool.submit(self._behind_keystone, identity, pool)
            for future in first:
                yield future.result()
            seen = {"database": database.result().verdict}
            for future in later.result():
                finding = future.result()
                seen[finding.link] = finding.verdict
                yield finding
            yield from self._about_tasks(seen["database"])
            if not self._is_quick and self._only is None:
                needed = {seen["database"], seen["catalogue"]}
                yield from self._about_images(needed, _failing(seen))
        finally:
            pool.shutdown(cancel_futures=True)
            self._cloud.close()

    def _behind_keystone(
        self, identity: Future, pool: futures.ThreadPoolExecutor
    ) -> list[Future]:
        if identity.result().verdict is findings.Level.FAIL:
            why = "needs Keystone"
            return [_known(findings.skipped(one, why)) for one in ("catalogue", "regions")]
        finding = keystone_checks.catalogue(self._cloud)
        if finding.verdict is findings.Level.FAIL:
            return [_known(finding), _known(findings.skipped("regions", "needs the catalogue"))]
        if self._only not in {None, *self._cloud.catalogue.regions()}:
            return [_known(finding), _known(self._unknown_region())]
        checks = region_checks.all_checks(
            self._cloud, is_quick=self._is_quick, only=self._only
        )
        return [_known(finding), *map(pool.submit, checks)]

    def _unknown_region(self) -> findings.Finding:
        known = ", ".join(sorted(self._cloud.catalogue.regions()))
        return findings.failure(
            f"region {self._only}",
            "it is not in Keystone's catalogue",
            f"name one of these with --region: {known}",
        )

    def _about_tasks(self, database: findings.Level) -> Iterator[findings.Finding]:
        if database is findings.Level.FAIL:
            yield findings.skipped("tasks", "needs the database")
            return
        try:
            yield from fleet_checks.check(self._cloud, self._only)
        except errors.SyncError as exc:  # it went away since
            yield findings.skipped("tasks", f"needs the database: {exc}")

    def _about_images(
        self, needed: set[findings.Level], failing: frozenset[images.RegionId]
    ) -> Iterator[findings.Finding]:
        if needed & {findings.Level.FAIL, findings.Level.SKIP}:
            for link in ("marked images", first_start.LINK):
                yield findings.skipped(link, "needs the database and the catalogue")
            return
        with Cloud(self._configuration) as cloud:
            yield from marked_checks.check(cloud, failing)
            yield first_start.check(cloud, failing)


def _failing(seen: Mapping[str, findings.Level]) -> frozenset[images.RegionId]:
    """Return the regions whose Glance fails, as an earlier line says."""
    return frozenset(
        images.RegionId(link.removeprefix(region_checks.GLANCE))
        for link, verdict in seen.items()
        if link.startswith(region_checks.GLANCE) and verdict is findings.Level.FAIL
    )


def _known(finding: findings.Finding) -> Future:
    future: Future = futures.Future()
    future.set_result(finding)
    return future
