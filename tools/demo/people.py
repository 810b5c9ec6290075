# SPDX-License-Identifier: Apache-2.0
"""The users of the cloud, at the public image API of each region."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import hashlib
import os
from typing import Any

import glanceclient
from glanceclient import exc as glance_exc
from keystoneauth1 import exceptions as keystone_exc
from keystoneauth1.session import Session
import requests

from tools import cloud as clouds
from tools import raw_data
from tools.demo import errors

OWNER, FRIEND = "alice", "bob"

_ANSWER_SECONDS = 15.0
_UPLOAD_SECONDS = 600.0  # Glance's pause after the last byte, on the slowest of machines
_LIBRARY_ERRORS = (
    glance_exc.BaseException,
    glance_exc.ClientException,
    keystone_exc.ClientException,
    requests.RequestException,
    OSError,
)

Record = Mapping[str, Any]  # an image of the Images API v2
Progress = Callable[[int], None]  # called with the bytes so far


class RandomData:
    """A file of random bytes that knows their hash.

    :param size: bytes.
    """

    def __init__(self, size: int, progress: Progress) -> None:
        self._size = size
        self._progress = progress
        self._done = 0
        self._sum = hashlib.sha512()

    def read(self, size: int) -> bytes:
        """Return the next bytes, none at the end."""
        make = os.urandom if self._done else raw_data.random_data
        chunk = make(min(size, self._size - self._done))
        self._sum.update(chunk)
        self._done += len(chunk)
        self._progress(self._done)
        return chunk

    @property
    def sha512(self) -> str:
        """The hash of the bytes so far, in hex."""
        return self._sum.hexdigest()


class People:
    """The users at the Glances of all regions. For one thread."""

    def __init__(self, cloud: clouds.Cloud) -> None:
        self._cloud = cloud
        self._sessions: dict[str, Session] = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._cascading = cloud.describe().cascading_region
        self._friend_project = cloud.describe().user(FRIEND).project_id

    def upload(
        self, properties: Mapping[str, str], tags: list[str], size: int, progress: Progress
    ) -> tuple[str, str]:
        """Publish an image of random bytes in the cascading region.

        :returns: its id and the sha512 of its bytes.
        """
        data = RandomData(size, progress)
        with self._asking("upload an image", self._cascading) as client:
            image_id = client.images.create(
                disk_format="raw", container_format="bare", tags=tags, **properties
            ).id
            self._sessions[OWNER].timeout = _UPLOAD_SECONDS
            try:
                client.images.upload(image_id, data, image_size=size)
            finally:
                self._sessions[OWNER].timeout = _ANSWER_SECONDS
        return image_id, data.sha512

    def look(self, region: str, image_id: str, user: str = OWNER) -> Record | None:
        """Return the image as the user sees it there; None: there is none for that user.

        :raises NoAnswer: that region's Glance is unreachable or refuses.
        """
        with self._asking(f"read the record of image {image_id}", region, user) as client:
            try:
                return dict(client.images.get(image_id))
            except glance_exc.HTTPNotFound:
                return None

    def read(self, region: str, image_id: str, progress: Progress) -> tuple[int, str]:
        """Read the data of an image; return its size and its sha512."""
        done, total = 0, hashlib.sha512()
        with self._asking(f"read image {image_id}", region) as client:
            # do_checksum would compute an MD5 as well.
            for chunk in client.images.data(image_id, do_checksum=False):
                total.update(chunk)
                done += len(chunk)
                progress(done)
        return done, total.hexdigest()

    def change(self, image_id: str, **properties: str) -> None:
        """Change properties of a source."""
        with self._asking(f"change image {image_id}", self._cascading) as client:
            client.images.update(image_id, **properties)

    def share(self, image_id: str) -> None:
        """Share a source with the friend's project."""
        with self._asking(f"share image {image_id}", self._cascading) as client:
            client.image_members.create(image_id, self._friend_project)

    def unshare(self, image_id: str) -> None:
        """Stop sharing a source."""
        with self._asking(f"stop sharing image {image_id}", self._cascading) as client:
            client.image_members.delete(image_id, self._friend_project)

    def delete(self, image_id: str, region: str | None = None) -> None:
        """Delete a source, or an image of another region; no error if there is none."""
        what = f"delete image {image_id}"
        with (
            self._asking(what, region or self._cascading) as client,
            contextlib.suppress(glance_exc.HTTPNotFound),
        ):
            client.images.delete(image_id)

    def find(self, region: str, **properties: str) -> list[str]:
        """Return the ids of the owner's images in a region that have these properties."""
        with self._asking("list images", region) as client:
            return [image.id for image in client.images.list(filters=properties, page_size=100)]

    @contextlib.contextmanager
    def _asking(self, what: str, region: str, user: str = OWNER) -> Iterator[Any]:
        try:
            yield self._client(region, user)
        except _LIBRARY_ERRORS as exc:
            raise errors.NoAnswer(f"{user} could not {what} in {region}: {_said(exc)}") from exc

    def _client(self, region: str, user: str) -> Any:
        if (region, user) not in self._clients:
            if user not in self._sessions:
                self._sessions[user] = self._cloud.session(user)
                self._sessions[user].timeout = _ANSWER_SECONDS
            self._clients[region, user] = glanceclient.Client(
                "2", session=self._sessions[user], region_name=region, interface="public"
            )
        return self._clients[region, user]


def _said(exc: BaseException) -> str:
    """Return the message of the operating system, if there is one below the libraries'."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(exc).split()) or type(exc).__name__
