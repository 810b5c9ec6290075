# SPDX-License-Identifier: Apache-2.0
"""Users of a fake Glance who make images of what is there, a copy of an agent's perhaps.

They use Nova, Cinder, glance-replicator and scripts, see nova.py. Each function returns the id of
the image that it made, which is nobody's business but its owner's.
"""

from collections.abc import Mapping
from typing import Any

from glance_sync_agent.domain import images
from tests import marks
from tests.fakes import glance
from tests.fakes import nova

ImageId = images.ImageId


def snapshot(
    service: glance.FakeGlance,
    image_id: ImageId,
    *,
    project: str,
    data: bytes | None = b"a server",
    image_type: str = nova.SNAPSHOT,
    by: str | None = None,
) -> ImageId:
    """Take a snapshot or a backup of a server that was booted from an image, or shelve it.

    :param data: of the server; None: it has not been uploaded yet, see :func:`fill`.
    :param by: project of an administrator who does it.
    """
    record = service.record(image_id)
    body = nova.snapshot(record, project=project, image_type=image_type, by=by)
    made = _make(service, body)
    if body["visibility"] == "shared":
        service.share(made, project)
    if data is not None:
        fill(service, made, data, project=project)
    return made


def fill(service: glance.FakeGlance, image_id: ImageId, data: bytes, *, project: str) -> None:
    """Upload the data of a snapshot whose record is there."""
    service.change(image_id, **nova.upload(service.record(image_id), project=project))
    service.put_data(image_id, data)


def snapshot_volumes(
    service: glance.FakeGlance, image_id: ImageId, *, project: str
) -> ImageId:
    """Take a snapshot of a server whose disks are volumes."""
    made = _make(service, nova.volume_backed(service.record(image_id), project=project))
    service.put_data(made, b"")
    return made


def upload_volume(
    service: glance.FakeGlance, image_id: ImageId, *, project: str, data: bytes = b"a volume"
) -> ImageId:
    """Make an image of a volume that was made of an image."""
    made = _make(service, nova.volume(service.record(image_id), project=project))
    service.put_data(made, data)
    return made


def script(
    service: glance.FakeGlance,
    image_id: ImageId,
    *,
    data: bytes | None = b"by a script",
    into: glance.FakeGlance | None = None,
    **own: Any,
) -> ImageId:
    """Make an image with all properties of another one, its mark included.

    :param data: None: there is none yet.
    :param into: another region.
    :param own: what is not as on that image.
    """
    service, source = into or service, service
    made = _make(service, nova.scripted(source.record(image_id), **own))
    if data is not None:
        service.put_data(made, data)
    return made


def forge(
    service: glance.FakeGlance, image_id: ImageId, *, data: bytes | None, **own: Any
) -> ImageId:
    """Do as :func:`script` does, and have the mark name the image that is made."""
    new = service.new_id()
    names_itself = {marks.COPY_ID: new, marks.COPY_REGION: str(service.region)}
    return script(service, image_id, data=data, **{"id": new, **names_itself, **own})


def replicate(
    service: glance.FakeGlance, image_id: ImageId, into: glance.FakeGlance
) -> ImageId:
    """Bring an image to another region, as it is and with its id, with glance-replicator."""
    made = _make(into, nova.replicated(service.record(image_id)))
    into.put_data(made, service.data(image_id))
    return made


def _make(service: glance.FakeGlance, body: Mapping[str, Any]) -> ImageId:
    fields = {name: value for name, value in body.items() if nova.is_attribute(name)}
    properties = {
        name: value for name, value in body.items() if name not in {"id", *fields}
    }
    no_formats = {"disk_format": None, "container_format": None}
    return service.make(
        image_id=body.get("id"), properties=properties, **(no_formats | fields)
    ).image_id
