# SPDX-License-Identifier: Apache-2.0
"""Changes of a source, and the seconds until each region shows them."""

from collections.abc import Callable
import dataclasses
import time

from tools.demo import api
from tools.demo import errors
from tools.demo import people
from tools.demo import results
from tools.demo import screen
from tools.demo import stage

_POLL_SECONDS = 0.1
_PROPERTY, _VALUE = "demo_step", "changed after the copy was made"
_DURING_PAUSE = "changed while a region was paused"
_PAUSED = "region_paused"  # the code of a task that waits for the end of a pause


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """One change that the owner of an image makes."""

    name: str
    image: results.Image
    act: Callable[[], None]
    shows: Callable[[str], bool]  # whether users see it in a region


def change_property(users: people.People, image: results.Image) -> Change:
    """Set a property to another value."""

    def act() -> None:
        users.change(image.image_id, **{_PROPERTY: _VALUE})

    return Change(
        name="property changed", image=image, act=act, shows=_has(users, image, _VALUE)
    )


def change_during_pause(
    users: people.People, operator: api.Api, image: results.Image, region: str
) -> Change:
    """Set a property while a region is paused, and resume the region."""

    def act() -> None:
        operator.pause(region, "the demo shows a pause")
        try:
            users.change(image.image_id, **{_PROPERTY: _DURING_PAUSE})
            operator.wait_for(image.image_id, region, _PAUSED)
        finally:
            operator.resume(region)

    return Change(
        name=f"{region} paused and resumed",
        image=image,
        act=act,
        shows=_has(users, image, _DURING_PAUSE),
    )


def _has(users: people.People, image: results.Image, value: str) -> Callable[[str], bool]:
    def shows(region: str) -> bool:
        record = users.look(region, image.image_id)
        return record is not None and record.get(_PROPERTY) == value

    return shows


def share(
    users: people.People, image: results.Image, *, name: str = "shared with bob"
) -> Change:
    """Make bob's project a member."""
    return Change(
        name=name,
        image=image,
        act=lambda: users.share(image.image_id),
        shows=lambda region: users.look(region, image.image_id, people.FRIEND) is not None,
    )


def unshare(users: people.People, image: results.Image) -> Change:
    """Remove bob's project from the members."""
    return Change(
        name="no longer shared",
        image=image,
        act=lambda: users.unshare(image.image_id),
        shows=lambda region: users.look(region, image.image_id, people.FRIEND) is None,
    )


def delete(users: people.People, image: results.Image) -> Change:
    """Delete the source."""
    return Change(
        name="deleted",
        image=image,
        act=lambda: users.delete(image.image_id),
        shows=lambda region: users.look(region, image.image_id) is None,
    )


class Begun:
    """A change that was just made in the cascading region."""

    def __init__(self, change: Change, summary: results.Summary) -> None:
        """Make the change.

        :raises DemoError: a region shows it already, so the demo would prove nothing.
        """
        regions = [name for name in summary.regions if name != summary.cascading_region]
        for region in regions:
            if _shows(change, region):
                raise errors.DemoError(
                    f"region {region} shows '{change.name}' of {change.image.name} before the"
                    " cascading region does"
                )
        change.act()
        self._started = time.monotonic()
        self._change = change
        self._result = results.Change(
            change.name, change.image.name, dict.fromkeys(regions, None)
        )
        summary.changes.append(self._result)

    def wait(self, where: stage.Stage, show: screen.Screen, timeout_seconds: float) -> None:
        """Wait until every region shows it.

        :raises DemoError: a region does not show it in time, or the agent ended.
        """
        title = f"{self._change.name} ({self._change.image.name})"
        deadline = time.monotonic() + timeout_seconds
        while missing := self._look():
            if time.monotonic() > deadline:
                raise errors.DemoError(
                    f"{' and '.join(missing)}: '{title}' did not arrive within"
                    f" {timeout_seconds:.0f} s"
                )
            where.check_agent()
            time.sleep(_POLL_SECONDS)
        times = [f"{region} {seconds:.1f} s" for region, seconds in self._result.seconds.items()]
        show.say(f"{title}: {', '.join(times)}")

    def _look(self) -> list[str]:
        """Ask the regions that do not show it yet; return those that still do not."""
        missing = [region for region, known in self._result.seconds.items() if known is None]
        for region in missing:
            if _shows(self._change, region):
                self._result.seconds[region] = time.monotonic() - self._started
        return [region for region, known in self._result.seconds.items() if known is None]


def _shows(change: Change, region: str) -> bool:
    try:
        return change.shows(region)
    except errors.NoAnswer:
        return False
