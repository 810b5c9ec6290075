# SPDX-License-Identifier: Apache-2.0
"""The requests of the service."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from openstack import exceptions
from openstack import proxy

from glancesyncclient.sdk import resources


class Proxy(proxy.Proxy):
    """``connection.image_sync``. All methods raise openstack.exceptions.HttpException."""

    api_version = "1"

    def images(self, **query: Any) -> Iterator[resources.Image]:
        """Walk the images with their state in each region.

        :param query: region, status, code, name, since, sort, limit.
        """
        found: Iterator[resources.Image] = self._list(resources.Image, **query)
        return found

    def get_image(self, image_id: str) -> resources.Image:
        """Return one image with its state in each region."""
        found: resources.Image = self._get(resources.Image, image_id)
        return found

    def placement(self, image_id: str) -> dict[str, Any]:
        """Return where an image belongs, and what said so."""
        return self._json(self.get(f"/images/{image_id}/placement"))

    def sync_image(self, image_id: str, regions: Iterable[str] | None = None) -> Sequence[str]:
        """Request an image again; return where.

        :param regions: None: all that have or should have a copy.
        """
        return self._ask(image_id, "sync", regions)

    def retry_image(self, image_id: str, regions: Iterable[str] | None = None) -> Sequence[str]:
        """Make the failed and waiting tasks of an image due now; return their regions."""
        return self._ask(image_id, "retry", regions)

    def cancel_image(self, image_id: str, regions: Iterable[str] | None = None) -> Sequence[str]:
        """Cancel the tasks of an image that are not done; return their regions."""
        return self._ask(image_id, "cancel", regions)

    def retry_tasks(self, **wanted: str) -> int:
        """Make all failed tasks due now that match; return how many.

        :param wanted: region, status, code, name, since.
        """
        answer = self._json(self.post("/tasks/retry", json=wanted))
        return int(answer["tasks"])

    def regions(self) -> Iterator[resources.Region]:
        """Walk the regions."""
        found: Iterator[resources.Region] = self._list(resources.Region)
        return found

    def pause_region(
        self, name: str, reason: str, *, finish: bool = False
    ) -> resources.Region:
        """Pause a region; return it. It is not paused if this only repeats an old request.

        :param finish: running transfers may finish.
        """
        return self._region(name, {"paused": True, "reason": reason, "finish": finish})

    def unpause_region(self, name: str) -> resources.Region:
        """Resume a region; return it. It stays paused if a pause window is open."""
        return self._region(name, {"paused": False})

    def _region(self, name: str, change: dict[str, Any]) -> resources.Region:
        answer = self._json(self.patch(f"/regions/{name}", json=change))
        connection = self._get_connection()
        found: resources.Region = resources.Region.existing(connection=connection, **answer)
        return found

    def agents(self) -> Iterator[resources.Agent]:
        """Walk the agents."""
        found: Iterator[resources.Agent] = self._list(resources.Agent)
        return found

    def events(self, **query: Any) -> Iterator[resources.Event]:
        """Walk the events, the newest first.

        :param query: image_id, region, kind, limit.
        """
        found: Iterator[resources.Event] = self._list(resources.Event, **query)
        return found

    def scans(self) -> Iterator[resources.Scan]:
        """Walk the scans that people asked for, the newest first."""
        found: Iterator[resources.Scan] = self._list(resources.Scan)
        return found

    def get_scan(self, scan_id: str) -> resources.Scan:
        """Return one scan, also while it runs."""
        found: resources.Scan = self._get(resources.Scan, scan_id)
        return found

    def scan_findings(self, scan_id: str) -> Iterator[dict[str, Any]]:
        """Walk what a scan found: image_id, region, what and why."""
        marker = 0
        while True:
            path = f"/scans/{scan_id}/findings?marker={marker}" if marker else (
                f"/scans/{scan_id}/findings"
            )
            page = self._json(self.get(path))
            yield from page["findings"]
            if page["next"] is None:
                return
            marker = page["findings"][-1]["number"]

    def start_scan(
        self,
        *,
        dry_run: bool = False,
        regions: Iterable[str] | None = None,
        allow_deletes: int | None = None,
    ) -> resources.Scan:
        """Ask for a scan; return it.

        :param dry_run: only show the differences.
        :param regions: None: all.
        :param allow_deletes: the most sources that are gone whose copies are deleted; None: as
            the agent is configured.
        """
        body: dict[str, Any] = {"dry_run": dry_run}
        if regions is not None:
            body["regions"] = list(regions)
        if allow_deletes is not None:
            body["allow_deletes"] = allow_deletes
        return self._scan(self.post("/scans", json=body))

    def cancel_scan(self, scan_id: str) -> resources.Scan:
        """End a scan that waits or runs; return it."""
        return self._scan(self.post(f"/scans/{scan_id}/cancel"))

    def _scan(self, response: Any) -> resources.Scan:
        found = self._json(response)
        return resources.Scan.existing(connection=self._get_connection(), **found)

    def summary(self) -> dict[str, Any]:
        """Return the state of all, and what is wrong."""
        return self._json(self.get("/summary"))

    def _ask(self, image_id: str, verb: str, regions: Iterable[str] | None) -> Sequence[str]:
        body = {} if regions is None else {"regions": list(regions)}
        answer = self._json(self.post(f"/images/{image_id}/{verb}", json=body))
        return [str(one) for one in answer["regions"]]

    def _json(self, response: Any) -> dict[str, Any]:
        exceptions.raise_from_response(response)
        return dict(response.json())
