# SPDX-License-Identifier: Apache-2.0
"""What the soak does after the last fault."""

from types import SimpleNamespace

from tools.soak import settling


def test_a_record_whose_deletion_glance_began_is_left_and_others_go(monkeypatch):
    records = [
        {"id": "begun", "status": "deleted"},
        {"id": "queued", "status": "queued"},
        {"id": "other", "status": "active"},
        {"id": "user", "status": "active"},
    ]
    deleted: list[str] = []
    monkeypatch.setattr(settling, "_delete", lambda *words: deleted.append(words[-1]["id"]))
    stage = SimpleNamespace(
        theirs={("RegionTwo", "user"): None},
        forged=set(),
        events=SimpleNamespace(note=lambda *_words: None),
    )
    people = SimpleNamespace(listed=lambda _region: records)
    settling._remove_unfinished(stage, people, "RegionTwo", {"other": {}})  # type: ignore[arg-type]
    assert deleted == ["queued"]
