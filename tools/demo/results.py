# SPDX-License-Identifier: Apache-2.0
"""The results of the demo, which it prints at the end."""

import dataclasses
from typing import Any


@dataclasses.dataclass
class Copy:
    """One image in one region, as its owner sees it there."""

    region: str
    is_source: bool
    status: str = "absent"
    seconds: float | None = None  # after the source became active; None: not yet, or the source
    size: int | None = None  # bytes that were read back
    sha512: str | None = None  # of the bytes that were read back
    verified: bool = False  # bytes, and the metadata, are those of the upload
    note: str = ""  # what is wrong


@dataclasses.dataclass
class Image:
    """One image that was published."""

    image_id: str
    name: str
    size: int  # bytes
    sha512: str
    upload_seconds: float
    active_at: float  # monotonic seconds
    copies: dict[str, Copy]  # by region, the source among them


@dataclasses.dataclass
class Change:
    """One change of a source, and the seconds until each region showed it."""

    change: str
    image: str
    seconds: dict[str, float | None]  # by region; None: it did not arrive


@dataclasses.dataclass
class Summary:
    """The whole demonstration."""

    cloud: str
    regions: list[str] = dataclasses.field(default_factory=list)
    cascading_region: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=dict)
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)  # by part of the demo
    images: list[Image] = dataclasses.field(default_factory=list)
    changes: list[Change] = dataclasses.field(default_factory=list)
    failure: str | None = "the demo did not finish"

    @property
    def ok(self) -> bool:
        """Whether every region held the right bytes and every change arrived."""
        return self.failure is None

    def as_dict(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        content = dataclasses.asdict(self)
        for image in content["images"]:
            del image["active_at"]
            image["copies"] = list(image["copies"].values())
        return _rounded({"ok": self.ok, **content})


def _rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list():
            return [_rounded(each) for each in value]
        case _:
            return value
