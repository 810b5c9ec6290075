# SPDX-License-Identifier: Apache-2.0
"""Users of the cloud of convergence.py who make images of others, whose properties these bear."""

from collections.abc import Callable, Mapping

from glance_sync_agent.domain import images
from tests.contract import convergence
from tests.fakes import glance
from tests.fakes import nova
from tests.fakes import users
from tests.fakes import world as worlds

#: Owns no image that the agents make.
STRANGER = "mallory"
_DATA = b"a server"

Make = Callable[[glance.FakeGlance, images.ImageId, str], images.ImageId]


def _with_the_same_bytes(
    service: glance.FakeGlance, image_id: images.ImageId, project: str
) -> images.ImageId:
    data = service._data.get(image_id, b"")
    return users.snapshot(service, image_id, project=project, data=data)


def _forge(data: bytes | None) -> Make:
    """Return what makes an image whose mark names itself.

    With the owner of the copies and their bytes, or none, that is all that a copy is where no
    task knows another one. Nobody could tell, so that nobody does it here.
    """

    def make(
        service: glance.FakeGlance, image_id: images.ImageId, project: str
    ) -> images.ImageId:
        owner = STRANGER if data is None else project
        return users.forge(service, image_id, data=data, owner=owner)

    return make


#: What users do with an image, a copy perhaps, in its own region.
HERE: Mapping[str, Make] = {
    "snapshot": lambda service, image_id, project: users.snapshot(
        service, image_id, project=project
    ),
    "backup": lambda service, image_id, project: users.snapshot(
        service, image_id, project=project, image_type=nova.BACKUP
    ),
    "snapshot by an administrator": lambda service, image_id, project: users.snapshot(
        service, image_id, project=STRANGER, by=project
    ),
    "snapshot without data": lambda service, image_id, project: users.snapshot(
        service, image_id, project=project, data=None
    ),
    "snapshot with the same bytes": _with_the_same_bytes,
    "snapshot of volumes": lambda service, image_id, project: users.snapshot_volumes(
        service, image_id, project=project
    ),
    "volume": lambda service, image_id, project: users.upload_volume(
        service, image_id, project=project
    ),
    "script": lambda service, image_id, project: users.script(service, image_id, owner=project),
    "script without data": lambda service, image_id, project: users.script(
        service, image_id, owner=project, data=None
    ),
    "forgery": _forge(b"forged by hand"),
    "forgery without data": _forge(None),
}


def make_here(cloud: convergence.Cloud, image: images.Image, what: str, project: str) -> None:
    """Have a user make an image of one of a cascaded region; no agent may touch it."""
    service = cloud.regions.glances[image.region]
    cloud.disown(service, HERE[what](service, image.image_id, project))


def protect(cloud: convergence.Cloud, place: convergence.Place) -> None:
    """Have a user protect an image of a cascaded region, or take that back."""
    region, image_id = place
    service = cloud.regions.glances[region]
    service.change(image_id, protected=not service.record(image_id)["protected"])
    cloud.disown(service, image_id)


def fill(cloud: convergence.Cloud, place: convergence.Place, data: bytes = _DATA) -> None:
    """Have a user's image of a cascaded region get its data, if it has none yet."""
    region, image_id = place
    service = cloud.regions.glances[region]
    if service.record(image_id)["status"] == "queued":
        users.fill(service, image_id, data, project=STRANGER)
        cloud.disown(service, image_id)


def replicate(cloud: convergence.Cloud, image: images.Image) -> None:
    """Have glance-replicator bring an image to the other cascaded region, if its id is free."""
    (other,) = set(worlds.CASCADED) - {image.region}
    into = cloud.regions.glances[other]
    has_data = image.status in {images.ImageStatus.ACTIVE, images.ImageStatus.DEACTIVATED}
    if has_data and image.image_id not in into._used:
        service = cloud.regions.glances[image.region]
        cloud.disown(into, users.replicate(service, image.image_id, into))


def publish(cloud: convergence.Cloud, image: images.Image, project: str) -> images.ImageId:
    """Have a user make a source of an image of a cascaded region, with all that it bears."""
    service = cloud.regions.glances[image.region]
    made = users.script(
        service, image.image_id, data=_DATA, into=cloud.source, owner=project,
        disk_format="raw", container_format="bare",
    )
    cloud.bytes[made] = _DATA
    cloud.tell(made)
    return made
