# SPDX-License-Identifier: Apache-2.0
"""The checks of Keystone: the agent's login, and the catalogue."""

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import strategy
from glance_sync_agent.wiring import catalogue_checks
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import CREDENTIALS


def identity(cloud: Cloud) -> findings.Finding:
    """Check that the agent's user can log in and has its roles."""
    link = "Keystone"
    section = cloud.configuration.conf[CREDENTIALS]

    def probe() -> str | findings.Finding:
        roles = cloud.catalogue.roles()
        user = _first(section, "username", "user_id") or "USER"
        project = _first(section, "project_name", "project_id") or "PROJECT"
        seen = f"{user} in {project} has the roles {', '.join(sorted(roles)) or 'none'}"
        add = f"openstack role add --user {user} --project {project} "
        if "admin" not in roles:
            return findings.failure(link, f"{seen}, not admin", f"{add}admin")
        if cloud.configuration.settings.engine.metadata.owner is metadata_policy.Owner.AGENT:
            cloud.catalogue.own_project()
        if "service" not in roles:
            return findings.warning(link, f"{seen}, not service", f"{add}service")
        return seen

    def remedy(exc: errors.SyncError) -> str:
        again = f"openstack --os-auth-url {_first(section, 'auth_url')} token issue"
        if isinstance(exc, errors.ServiceUnavailable):
            return (
                f"start Keystone, or correct auth_url of [{CREDENTIALS}] in sync.conf; this must "
                f"work: {again}"
            )
        return (
            f"correct [{CREDENTIALS}] in sync.conf; this must work with the same values: {again}"
        )

    return findings.check(link, probe, remedy)


def catalogue(cloud: Cloud) -> findings.Finding:
    """Check the regions of the catalogue, and those that the files name."""
    interface = cloud.configuration.conf[CREDENTIALS].interface
    return findings.check(
        "catalogue",
        lambda: _seen_in_catalogue(cloud, interface),
        lambda _: "use one of these endpoints as cascading_endpoint_url in sync.conf, and the "
        f"regions' names: openstack endpoint list --service image --interface {interface}",
    )


def _seen_in_catalogue(cloud: Cloud, interface: str) -> str | findings.Finding:
    link = "catalogue"
    settings, cascading = cloud.configuration.settings, cloud.catalogue.cascading
    regions = cloud.catalogue.regions()
    remembered_cascading, known = _remembered(cloud)
    catalogue_checks.check_cascading(remembered_cascading, cascading)
    if gone := catalogue_checks.check_named_regions(settings, regions, cascading, known):
        return findings.failure(
            link,
            "\n".join(gone),
            "remove the name there, then run glance-sync-manage region forget REGION. If the "
            "region has a new name, run glance-sync-manage region rename OLD NEW",
        )
    targets = sorted(regions - {cascading})
    if not targets:
        return findings.warning(
            link,
            f"{cascading} is the only region with an image endpoint",
            f"openstack endpoint create --region REGION image {interface} URL",
        )
    rules = settings.engine.placement.rules
    if nowhere := sorted(strategy.names_without_region(rules, targets)):
        return findings.warning(
            link,
            f"rules name regions that cannot get copies: {', '.join(nowhere)}; these can: "
            f"{', '.join(targets)}",
            f"correct {settings.rules_file}",
        )
    return f"images of {cascading} go to {', '.join(targets)}"


def _remembered(cloud: Cloud) -> tuple[images.RegionId | None, frozenset[images.RegionId]]:
    """Return what the database knows of regions; nothing if it cannot be read."""
    try:
        known = cloud.store.known_regions()
        return known.cascading(), known.all()
    except errors.SyncError:  # the check of the database reports that
        return None, frozenset()


def _first(section: object, *names: str) -> object:
    """Return the first option with a value; the options depend on ``auth_type``."""
    return next((value for name in names if (value := getattr(section, name, None))), None)
