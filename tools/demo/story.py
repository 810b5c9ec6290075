# SPDX-License-Identifier: Apache-2.0
"""The demonstration from its first image to its last deletion."""

from collections.abc import Iterator
import contextlib
import time

from tools.demo import api
from tools.demo import changes
from tools.demo import errors
from tools.demo import people
from tools.demo import results
from tools.demo import screen
from tools.demo import stage
from tools.demo import verdicts
from tools.demo import watching

_MIB = 1024 * 1024
_SMALL_BYTES = 64 * 1024 + 1  # odd, because round sizes hide mistakes
_MARK = {"demo_made_by": "tools/demo.sh"}
_TAGS = ["demo", "röd"]
_PROPERTIES = {**_MARK, "os_distro": "debian", "hw_disk_bus": "scsi", "demo_step": "published"}


class Story:
    """The demonstration; fills a summary as it goes.

    :param size_mib: of the big image.
    :param timeout_seconds: limit for the copies, and for each change.
    :param keep: leave the big image for the user.
    """

    def __init__(
        self,
        where: stage.Stage,
        show: screen.Screen,
        summary: results.Summary,
        *,
        size_mib: int,
        timeout_seconds: float,
        keep: bool,
    ) -> None:
        self._stage = where
        self._screen = show
        self._summary = summary
        self._size_mib = size_mib
        self._timeout_seconds = timeout_seconds
        self._keep = keep
        self._people = people.People(where.cloud)

    def tell(self) -> None:
        """Publish, wait, verify, change.

        :raises DemoError: a region does not hold what it should, or a change did not arrive.
        """
        with self._timed("agent"):
            self._remove_images()
            self._stage.start_agent()
        try:
            with self._timed("copies"):
                big, shared = self._publish_and_wait()
                shared.wait(self._stage, self._screen, self._timeout_seconds)
            with self._timed("verification"):
                self._verify()
            with self._timed("changes"):
                self._change(big)
        finally:
            if not self._keep:
                self._remove_images()

    def _remove_images(self) -> None:
        """Delete, as their owner, the images of this demo and of earlier ones in all regions."""
        for region in self._summary.regions:
            # A later step reports a region that does not answer.
            with contextlib.suppress(errors.NoAnswer):
                for image_id in self._people.find(region, **_MARK):
                    self._people.delete(image_id, region)

    def _publish_and_wait(self) -> tuple[results.Image, changes.Begun]:
        self._screen.say(f"alice uploads two images to {self._summary.cascading_region}")
        with self._screen.bars() as bars:
            big = self._publish(f"demo-{self._size_mib}-MiB", self._size_mib * _MIB, bars)
            share = changes.share(self._people, big, name="shared during the copy")
            shared = changes.Begun(share, self._summary)
            self._publish("demo-small", _SMALL_BYTES, bars)
        self._screen.say("The agent copies them to the other regions")
        watch = watching.Watch(
            self._stage, self._people, self._operator(), timeout_seconds=self._timeout_seconds
        )
        with self._screen.bars() as bars:
            complaints = watch.wait(self._summary.images, bars)
        if complaints:
            raise errors.DemoError("\n".join(complaints))
        return big, shared

    def _publish(self, name: str, size: int, bars: screen.Bars) -> results.Image:
        def progress(done: int) -> None:
            bars.show(f"upload {name}", done, size)

        started = time.monotonic()
        properties = {**_PROPERTIES, "name": name}
        image_id, sha512 = self._people.upload(properties, _TAGS, size, progress)
        now = time.monotonic()
        cascading = self._summary.cascading_region
        image = results.Image(
            image_id=image_id,
            name=name,
            size=size,
            sha512=sha512,
            upload_seconds=now - started,
            active_at=now,
            copies={
                region: results.Copy(
                    region=region,
                    is_source=region == cascading,
                    status="active" if region == cascading else "absent",
                )
                for region in self._summary.regions
            },
        )
        self._summary.images.append(image)
        return image

    def _verify(self) -> None:
        """Read every image back from every Glance.

        :raises DemoError: an image differs from the upload.
        """
        self._screen.say("Reading every copy back from its Glance, to hash it")
        wrong = []
        with self._screen.bars() as bars:
            for image in self._summary.images:
                for copy in image.copies.values():
                    self._read_back(image, copy, bars)
                    if copy.note:
                        wrong.append(f"region {copy.region}, {image.name}: {copy.note}")
        if wrong:
            raise errors.DemoError("\n".join(wrong))

    def _read_back(self, image: results.Image, copy: results.Copy, bars: screen.Bars) -> None:
        def progress(done: int) -> None:
            bars.show(f"{copy.region}, {image.name}", done, image.size)

        copy.size, copy.sha512 = self._people.read(copy.region, image.image_id, progress)
        record = self._people.look(copy.region, image.image_id) or {}
        copy.status = record.get("status", "absent")
        copy.note = verdicts.fault_of(
            copy,
            uploaded=image,
            source=self._people.look(self._summary.cascading_region, image.image_id) or {},
            record=record,
            properties=_PROPERTIES,
            tags=_TAGS,
        )
        copy.verified = not copy.note

    def _change(self, big: results.Image) -> None:
        small = self._summary.images[-1]
        steps = [
            changes.change_property(self._people, big),
            changes.change_during_pause(
                self._people, self._operator(), big, self._summary.regions[-1]
            ),
            changes.share(self._people, small),
            changes.unshare(self._people, small),
            changes.delete(self._people, small),
        ]
        if not self._keep:
            steps.append(changes.delete(self._people, big))
        for step in steps:
            begun = changes.Begun(step, self._summary)
            begun.wait(self._stage, self._screen, self._timeout_seconds)

    def _operator(self) -> api.Api:
        return api.Api(self._stage.cloud.session("admin"), self._stage.api_url)

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self._summary.seconds[part] = time.monotonic() - started
