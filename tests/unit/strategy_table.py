# SPDX-License-Identifier: Apache-2.0
"""The decision table of the strategies: pure tests read all of it, the real cloud a part."""

from collections.abc import Mapping
import dataclasses
import functools
import pathlib
import tempfile
from typing import Any

from glance_sync_agent.conf import strategy_file
from glance_sync_agent.domain import images
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from tests.unit import builders

REGIONS = tuple(map(images.RegionId, ("RegionTwo", "RegionThree", "RegionFour")))
TWO, THREE, FOUR = REGIONS
EVERYWHERE = REGIONS

#: In the place of ALPHA stands the id of that project.
RULES = """\
rules:
  - name: by id
    match: {project_id: ALPHA, name: 'by-id*'}
    regions: RegionFour
  - name: by name of the project
    match: {project_name: [omega, 'strategy-al*'], name: by-project-name}
    regions: [RegionTwo, RegionFour]
  - name: by domain
    match: {project_domain: Default, name: by-domain}
    regions: 'RegionT*'
  - name: by tag of the project
    match: {project_tags: [production], name: by-project-tag}
    regions: RegionThree
  - name: by roles of which one is nobody's
    match: {roles: [member, auditor], name: by-role}
    regions: '*'
  - name: by role
    match: {roles: member, name: by-role}
    regions: RegionTwo
  - name: by visibility
    match: {visibility: [public, community], name: by-visibility}
    regions: '*'
  - name: by tags
    match: {tags: [golden, signed]}
    regions: '*'
  - name: by property
    match: {properties: {os_distro: [debian, 'ubuntu*']}}
    regions: RegionTwo
  - name: too big
    match: {min_size: 1MiB}
    regions: none
  - name: by size
    match: {name: sized, min_size: 1000, max_size: 2KiB}
    regions: RegionThree
  - name: by format
    match: {disk_format: [iso, vmdk], container_format: bare}
    regions: RegionFour
"""

#: Of each project what Keystone says; the cloud is made to say so as well.
PROJECTS: Mapping[str, owner_facts.OwnerFacts] = {
    "strategy-alpha": owner_facts.OwnerFacts(
        project=owner_facts.Project(
            name="strategy-alpha", domain_id="default", domain_name="Default",
            tags=frozenset({"production", "eu"}),
        ),
        roles=frozenset({"member"}),
        association=owner_facts.Association(is_filtered=True, regions=frozenset({TWO, THREE})),
    ),
    "strategy-beta": owner_facts.OwnerFacts(
        project=owner_facts.Project(
            name="strategy-beta", domain_id="default", domain_name="Default", tags=frozenset()
        ),
        roles=frozenset(),
        association=owner_facts.Association(is_filtered=False, regions=frozenset()),
    ),
}
ALPHA, BETA = PROJECTS


def facts() -> owner_facts.OwnerFacts:
    """Return what Keystone says of the project ``alpha``."""
    return PROJECTS[ALPHA]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One image under one policy, and where it belongs."""

    name: str
    regions: tuple[images.RegionId, ...]
    step: strategy.DecidedBy
    sync_strategy: strategy.Strategy = strategy.Strategy.USER
    with_rules: bool = True
    snapshot_regions: tuple[images.RegionId, ...] = ()
    unfiltered_may_use_all: bool = True
    project: str | None = ALPHA  # None: nobody's
    image_name: str = "an image"
    visibility: str = "shared"
    properties: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    size: int = 100
    disk_format: str = "raw"
    home: images.RegionId | None = None  # where the data is, if not where the image is
    volume_backed: bool = False  # the option
    shelved: bool = False  # the option
    on_cloud: bool = False

    def policy(self) -> strategy.PlacementPolicy:
        """Return what the operator decided."""
        return strategy.PlacementPolicy(
            strategy=self.sync_strategy,
            rules=_rules() if self.with_rules else (),
            snapshot_regions=frozenset(self.snapshot_regions),
            volume_backed=self.volume_backed,
            shelved=self.shelved,
            unfiltered_projects_may_use_all=self.unfiltered_may_use_all,
        )

    def image(self, **overrides: Any) -> images.Image:
        """Return the image."""
        values: dict[str, Any] = {
            "owner": self.project and self.project.removeprefix("strategy-"),
            "name": self.image_name,
            "visibility": self.visibility,
            "properties": dict(self.properties),
            "tags": frozenset(self.tags),
            "size": self.size,
            "disk_format": self.disk_format,
        }
        if self.home is not None:
            values["remote"] = dataclasses.replace(builders.REMOTE, region=self.home)
            values["locations"] = builders.elsewhere().locations
        return builders.source(**(values | overrides))

    def facts(self) -> owner_facts.OwnerFacts:
        """Return what Keystone says of its owner."""
        return PROJECTS[self.project] if self.project else owner_facts.NO_OWNER


@functools.cache
def _rules() -> tuple[rules.Rule, ...]:
    with tempfile.TemporaryDirectory() as directory:
        file = pathlib.Path(directory, "sync_strategy.yaml")
        file.write_text(RULES.replace("ALPHA", "alpha"))
        return strategy_file.load(file)


NONE, ALL, USER = strategy.Strategy
STRATEGY, SNAPSHOT, PROPERTY, RULE, FILTER, HOME, VOLUME_BACKED, SHELVED = strategy.DecidedBy
SNAP = {"image_type": "snapshot"}
VOLUMES = {**SNAP, "block_device_mapping": "[]"}
OF_SERVER = {**SNAP, "instance_uuid": "9e3c5a71-0d42-4b86-8f17-2a6b9c04d5e8"}
BACKUP = {**OF_SERVER, "image_type": "backup"}


def row(
    name: str, regions: tuple[images.RegionId, ...], step: strategy.DecidedBy, **fields: Any
) -> Row:
    """Return a row; short, so that the table can be read."""
    return Row(name=name, regions=regions, step=step, **fields)


def chosen(text: str, **more: str) -> dict[str, str]:
    """Return the property by which an owner chooses."""
    return {"sync_regions": text, **more}


ROWS = [
    # None and ALL
    row("none", (), STRATEGY, sync_strategy=NONE),
    row("none, public", (), STRATEGY, sync_strategy=NONE, visibility="public"),
    row("none, chosen", (), STRATEGY, sync_strategy=NONE, properties=chosen("*")),
    row("none, snapshot", (), STRATEGY, sync_strategy=NONE, properties=SNAP,
        snapshot_regions=(TWO,)),
    row("all", EVERYWHERE, STRATEGY, sync_strategy=ALL, on_cloud=True),
    row("all, public", EVERYWHERE, STRATEGY, sync_strategy=ALL, visibility="public"),
    row("all, private", EVERYWHERE, STRATEGY, sync_strategy=ALL, visibility="private"),
    row("all, nobody's", EVERYWHERE, STRATEGY, sync_strategy=ALL, project=None),
    row("all, rules are not asked", EVERYWHERE, STRATEGY, sync_strategy=ALL,
        image_name="by-id"),
    row("all, chosen names are not asked", EVERYWHERE, STRATEGY, sync_strategy=ALL,
        properties=chosen("RegionTwo")),
    row("all, opted out", (), PROPERTY, sync_strategy=ALL, properties=chosen("none"),
        on_cloud=True),
    row("all, opted out in capitals", (), PROPERTY, sync_strategy=ALL,
        properties=chosen(" NONE ")),
    row("all, opted out among names", (), PROPERTY, sync_strategy=ALL,
        properties=chosen("RegionTwo,none")),
    row("all, snapshot as any image", EVERYWHERE, STRATEGY, sync_strategy=ALL, properties=SNAP),
    row("all, snapshot", (TWO,), SNAPSHOT, sync_strategy=ALL, properties=SNAP,
        snapshot_regions=(TWO,), on_cloud=True),
    row("all, snapshot opted out", (), PROPERTY, sync_strategy=ALL, snapshot_regions=(TWO,),
        properties=chosen("none", **SNAP), on_cloud=True),
    row("all, no snapshot", EVERYWHERE, STRATEGY, sync_strategy=ALL, snapshot_regions=(TWO,),
        properties={"image_type": "image"}, on_cloud=True),
    # snapshots whose data is in another region
    row("all, data elsewhere", (TWO, FOUR), STRATEGY, sync_strategy=ALL, home=THREE),
    row("all, data elsewhere, snapshot regions", (FOUR,), SNAPSHOT, sync_strategy=ALL,
        home=TWO, snapshot_regions=(TWO, FOUR)),
    row("data elsewhere, chosen", (TWO,), PROPERTY, home=THREE,
        properties=chosen("RegionTwo,RegionThree")),
    row("data elsewhere, associated", (TWO,), FILTER, home=THREE),
    row("data elsewhere, none", (), STRATEGY, sync_strategy=NONE, home=THREE),
    row("data in a region that holds no copies", EVERYWHERE, STRATEGY, sync_strategy=ALL,
        home=images.RegionId("RegionOne")),
    # records of volumes
    row("all, volumes", (), VOLUME_BACKED, sync_strategy=ALL, properties=VOLUMES, size=0,
        on_cloud=True),
    row("all, volumes, wanted", EVERYWHERE, STRATEGY, sync_strategy=ALL, properties=VOLUMES,
        size=0, volume_backed=True),
    row("all, volumes and a disk", EVERYWHERE, STRATEGY, sync_strategy=ALL, properties=VOLUMES,
        on_cloud=True),
    row("all, empty", EVERYWHERE, STRATEGY, sync_strategy=ALL, size=0),
    row("volumes that belong nowhere", (), FILTER, project=BETA, properties=VOLUMES, size=0),
    row("volumes with data elsewhere", (), VOLUME_BACKED, sync_strategy=ALL, home=THREE,
        properties=VOLUMES, size=0),
    # shelved servers, and backups
    row("all, shelved", (), SHELVED, sync_strategy=ALL, image_name="web-shelved",
        properties=OF_SERVER, on_cloud=True),
    row("all, shelved, wanted", EVERYWHERE, STRATEGY, sync_strategy=ALL, shelved=True,
        image_name="web-shelved", properties=OF_SERVER),
    row("shelved, wanted, snapshot regions", (TWO,), SNAPSHOT, sync_strategy=ALL, shelved=True,
        image_name="web-shelved", properties=OF_SERVER, snapshot_regions=(TWO,)),
    row("shelved, belongs nowhere", (), FILTER, project=BETA, image_name="web-shelved",
        properties=OF_SERVER),
    row("all, snapshot of a server", EVERYWHERE, STRATEGY, sync_strategy=ALL,
        image_name="web-shelved-1", properties=OF_SERVER),
    row("all, backup, snapshot regions", (TWO,), SNAPSHOT, sync_strategy=ALL,
        properties=BACKUP, snapshot_regions=(TWO,)),
    # the image's own property
    row("chosen one", (TWO,), PROPERTY, properties=chosen("RegionTwo"), on_cloud=True),
    row("chosen two", (TWO, THREE), PROPERTY, properties=chosen("RegionThree , RegionTwo")),
    row("chosen one that it may not use", (), PROPERTY, properties=chosen("RegionFour"),
        on_cloud=True),
    row("chosen, one of them not allowed", (TWO,), PROPERTY,
        properties=chosen("RegionTwo,RegionFour"), on_cloud=True),
    row("chosen all", (TWO, THREE), PROPERTY, properties=chosen("*"), on_cloud=True),
    row("chosen none", (), PROPERTY, properties=chosen("none"), on_cloud=True),
    row("chosen an unknown one", (), PROPERTY, properties=chosen("Atlantis")),
    row("chosen in small letters", (), PROPERTY, properties=chosen("regiontwo")),
    row("chosen the cascading one", (), PROPERTY, properties=chosen("RegionOne")),
    row("chosen nothing", (TWO, THREE), FILTER, properties=chosen(""), on_cloud=True),
    row("chosen commas", (TWO, THREE), FILTER, properties=chosen(" , ,")),
    row("chosen, public", (TWO,), PROPERTY, properties=chosen("RegionTwo"), visibility="public"),
    row("chosen against a rule", (THREE,), PROPERTY, properties=chosen("RegionThree"),
        image_name="by-id", on_cloud=True),
    row("chosen, free project", (FOUR,), PROPERTY, project=BETA, properties=chosen("RegionFour"),
        on_cloud=True),
    row("chosen all, free project", EVERYWHERE, PROPERTY, project=BETA, properties=chosen("*")),
    row("chosen, free project under a strict Keystone", (), PROPERTY, project=BETA,
        properties=chosen("RegionFour"), unfiltered_may_use_all=False),
    row("chosen, nobody's", (), PROPERTY, project=None, properties=chosen("*")),
    # rules
    row("rule by id", (FOUR,), RULE, image_name="by-id-x", on_cloud=True),
    row("rule by id of another", (), FILTER, image_name="by-id-x", project=BETA, on_cloud=True),
    row("rule by name of the project", (TWO, FOUR), RULE, image_name="by-project-name",
        on_cloud=True),
    row("rule by name of another", (), FILTER, image_name="by-project-name", project=BETA),
    row("rule by domain", (TWO, THREE), RULE, image_name="by-domain", project=BETA,
        on_cloud=True),
    row("rule by domain, nobody's", (), FILTER, image_name="by-domain", project=None),
    row("rule by tag of the project", (THREE,), RULE, image_name="by-project-tag",
        on_cloud=True),
    row("rule by tag, untagged", (), FILTER, image_name="by-project-tag", project=BETA),
    row("rule by role", (TWO,), RULE, image_name="by-role", on_cloud=True),
    row("rule by role, nobody has it", (), FILTER, image_name="by-role", project=BETA),
    row("rule by visibility, public", EVERYWHERE, RULE, image_name="by-visibility",
        visibility="public", on_cloud=True),
    row("rule by visibility, community", EVERYWHERE, RULE, image_name="by-visibility",
        visibility="community"),
    row("rule by visibility, private", (TWO, THREE), FILTER, image_name="by-visibility",
        visibility="private", on_cloud=True),
    row("rule by tags", EVERYWHERE, RULE, tags=("signed", "golden", "new"), on_cloud=True),
    row("rule by tags, one missing", (TWO, THREE), FILTER, tags=("golden",)),
    row("rule by property", (TWO,), RULE, properties={"os_distro": "ubuntu24"}, on_cloud=True),
    row("rule by property, another value", (TWO, THREE), FILTER,
        properties={"os_distro": "fedora"}),
    row("rule by least size", (), RULE, size=1024 * 1024, on_cloud=True),
    row("rule by least size, a byte less", (TWO, THREE), FILTER, size=1024 * 1024 - 1),
    row("rule by size, least", (THREE,), RULE, image_name="sized", size=1000, on_cloud=True),
    row("rule by size, most", (THREE,), RULE, image_name="sized", size=2048),
    row("rule by size, below", (TWO, THREE), FILTER, image_name="sized", size=999),
    row("rule by size, above", (TWO, THREE), FILTER, image_name="sized", size=2049),
    row("rule by format", (FOUR,), RULE, disk_format="vmdk"),
    row("the first of two rules", (FOUR,), RULE, image_name="by-id",
        tags=("signed", "golden")),
    row("snapshot by a rule", (FOUR,), RULE, image_name="by-id", properties=SNAP),
    row("snapshot regions before rules", (THREE,), SNAPSHOT, image_name="by-id",
        properties=SNAP, snapshot_regions=(THREE,)),
    row("snapshot regions before the property", (THREE,), SNAPSHOT,
        properties=chosen("RegionTwo", **SNAP), snapshot_regions=(THREE,)),
    row("snapshot regions that its project may not use", (THREE,), SNAPSHOT, properties=SNAP,
        snapshot_regions=(THREE, FOUR), on_cloud=True),
    row("snapshot region that its project may not use", (), SNAPSHOT, properties=SNAP,
        snapshot_regions=(FOUR,)),
    row("backup, snapshot regions that its project may not use", (THREE,), SNAPSHOT,
        properties=BACKUP, snapshot_regions=(THREE, FOUR)),
    row("snapshot of a free project", (FOUR,), SNAPSHOT, project=BETA, properties=SNAP,
        snapshot_regions=(FOUR,)),
    row("snapshot of a free project under a strict Keystone", (), SNAPSHOT, project=BETA,
        properties=SNAP, snapshot_regions=(FOUR,), unfiltered_may_use_all=False),
    row("snapshot of nobody's", (), SNAPSHOT, project=None, properties=SNAP,
        snapshot_regions=(THREE,)),
    row("all, snapshot region that its project may not use", (FOUR,), SNAPSHOT,
        sync_strategy=ALL, properties=SNAP, snapshot_regions=(FOUR,)),
    # the endpoint filter
    row("associated", (TWO, THREE), FILTER, on_cloud=True),
    row("associated, private", (TWO, THREE), FILTER, visibility="private", on_cloud=True),
    row("associated, no rules", (TWO, THREE), FILTER, with_rules=False, visibility="public"),
    row("associated with nothing", (), FILTER, project=BETA, on_cloud=True),
    row("nobody's", (), FILTER, project=None),
]
