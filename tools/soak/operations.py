# SPDX-License-Identifier: Apache-2.0
"""Operations of users on their images; a fault may fail any of them."""

from collections.abc import Callable, Mapping
import contextlib
import io
import json
from typing import Any

from glanceclient import exc as glance_exc
from keystoneauth1 import exceptions as keystone_exc
import requests

from tests.fakes import nova
from tools.soak import imaging
from tools.soak import plans
from tools.soak import stage as stages
from tools.soak import weights

#: Errors that users get if a service is away, or if the state is not what they expect.
REFUSED = (
    glance_exc.BaseException,
    glance_exc.ClientException,
    keystone_exc.ClientException,
    requests.RequestException,
    json.JSONDecodeError,  # an answer without a body
)
#: Errors that they get if the service is away; they try again.
UNANSWERED = (
    glance_exc.CommunicationError,
    glance_exc.HTTPInternalServerError,
    glance_exc.HTTPServiceUnavailable,
    keystone_exc.ConnectFailure,
    keystone_exc.HttpServerError,
)
_TRIES = 20
#: The outcome if there is no copy, or no image to fill.
_NOTHING = "skipped (there is none)"
_AGAIN_SECONDS = 2.0
_PROPERTY = "hw_disk_bus"


class User:
    """One user, who executes a plan."""

    def __init__(self, stage: stages.Stage, name: str) -> None:
        self.name = name
        self._stage = stage
        self._people = stage.visitor()
        self._other = next(user for user in weights.USERS if user != name)
        self._doing: Mapping[str, Callable[[plans.Operation], object]] = {
            "create": lambda one: self.create(one.image),
            "change": self._change,
            "visibility": lambda one: self._admin(one.image, visibility=one.value),
            "protect": lambda one: self._update(one.image, protected=one.value == "true"),
            "hide": lambda one: self._update(one.image, os_hidden=one.value == "true"),
            "share": lambda one: self._members().create(one.image.image_id, self._member),
            "answer": self._answer,
            "unshare": lambda one: self._members().delete(one.image.image_id, self._member),
            "deactivate": lambda one: self._images("admin").deactivate(one.image.image_id),
            "reactivate": lambda one: self._images("admin").reactivate(one.image.image_id),
            "delete": lambda one: self.delete(one.image.image_id),
            "publish": lambda one: self.create(one.image, self._properties(one)),
            **imaging.Imaging(stage, name).making,
        }

    def work(self, seed: int) -> None:
        """Execute the plan until the time is over."""
        for one in plans.operations(seed, self.name):
            self._stage.wait(one.pause)
            if self._stage.over.is_set():
                return
            outcome = self.do(one)
            detail = f"{one.image.image_id} {one.value}"
            self._stage.events.count(self.name, one.kind, outcome, detail)

    def do(self, operation: plans.Operation) -> str:
        """Execute one operation until there is an answer; return the outcome."""
        for _ in range(_TRIES):
            try:
                done = self._doing[operation.kind](operation)
            except UNANSWERED as exc:
                outcome = f"unanswered ({type(exc).__name__}: {str(exc)[:100]!r})"
                self._stage.wait(_AGAIN_SECONDS)
            except REFUSED as exc:
                return f"refused ({type(exc).__name__}: {str(exc)[:100]!r})"
            else:
                return _NOTHING if done is imaging.NOTHING else "done"
        return outcome

    def create(self, image: plans.Image, inherited: Mapping[str, str] | None = None) -> None:
        """Publish an image, or continue an interrupted publication.

        The judge deletes an image without data at the end.

        :param inherited: properties in addition to its own.
        """
        data = self._stage.announce(image)
        with contextlib.suppress(glance_exc.HTTPConflict):
            self._images("admin").create(
                id=image.image_id, name=image.name, disk_format="raw", container_format="bare",
                owner=self._people.project(self.name), visibility=image.visibility,
                **{**(inherited or {}), **image.fields},
            )
        with contextlib.suppress(glance_exc.HTTPConflict):
            self._images().upload(image.image_id, io.BytesIO(data), image_size=image.size)

    def delete(self, image_id: str) -> None:
        """Remove the protection of an image, and delete it."""
        if self._images("admin").get(image_id).get("protected"):
            self._images("admin").update(image_id, protected=False)
        self._images("admin").delete(image_id)

    def _properties(self, one: plans.Operation) -> Mapping[str, str]:
        """Return the properties of a copy, its mark among them; none if there is no copy."""
        origin = one.origin
        copies = self._people.copies(one.value, origin.image_id) if origin is not None else []
        return nova.properties(copies[0]) if copies else {}

    def _change(self, one: plans.Operation) -> None:
        """Change everything that a user may change; the new name's last digit decides how."""
        digit = int(one.value[-1], 16)
        self._images().update(
            one.image.image_id,
            remove_props=[_PROPERTY] if digit % 4 == 0 and self._has_property(one) else None,
            name=f"{one.image.name} {one.value}",
            min_ram=digit,
            tags=[f"tag-{number}" for number in range(digit % 3)] or ["none"],
            **({} if digit % 4 == 0 else {_PROPERTY: one.value, "hw_rng_model": ""}),
        )

    def _has_property(self, one: plans.Operation) -> bool:
        return _PROPERTY in self._images().get(one.image.image_id)

    def _answer(self, one: plans.Operation) -> None:
        members = self._people.client(user=self._other).image_members
        members.update(one.image.image_id, self._member, one.value)

    def _update(self, image: plans.Image, **fields: object) -> None:
        self._images().update(image.image_id, **fields)

    def _admin(self, image: plans.Image, **fields: object) -> None:
        self._images("admin").update(image.image_id, **fields)

    @property
    def _member(self) -> str:
        return self._people.project(self._other)

    def _images(self, user: str | None = None) -> Any:
        return self._people.client(user=user or self.name).images

    def _members(self) -> Any:
        return self._people.client(user=self.name).image_members
