# SPDX-License-Identifier: Apache-2.0
"""Messages that a stranger on the bus might send: raw bodies, types, headers."""

from collections.abc import Callable, Iterator
import dataclasses
import gzip
import json
import pickle
import random
from typing import Any
import uuid

_MIB = 1024 * 1024
_EVENT_TYPES = (
    "image.update", "image.activate", "image.delete", "image.member.create", "image.create",
    "image.upload", "task.success", "compute.instance.create.end", "", "image.update\n", "\x00",
)
_TEXTS = (
    "", "active", "saving", "INFO", "null", "NaN", "../../etc/passwd", "/etc/shadow\x00",
    "$(reboot)", "'; DROP TABLE tasks;--", "%s%n{0}", "\ud800", "\u202eegami",
    "\U0001f4a9" * 50, "a" * 300,
    "350715cd181a47d095 8719f0221ea26b", "350715CD-181A-47D0-9587-19F0221EA26B",
    "{350715cd-181a-47d0-9587-19f0221ea26b}", "350715cd-181a-47d0-9587-19f0221ea26b/../x",
)  # fmt: skip
_CONTENT_TYPES = (
    "application/json", "text/plain", "application/octet-stream", "application/data",
    "application/x-python-serialize", "application/x-yaml", "application/x-msgpack",
    "application/x-unheard-of", "", "\x00",
)  # fmt: skip


@dataclasses.dataclass(kw_only=True)
class Message:
    """What goes to the broker as it is."""

    body: bytes
    content_type: str = "application/json"
    content_encoding: str = "utf-8"
    headers: dict[str, Any] = dataclasses.field(default_factory=dict)


def messages(seed: int) -> Iterator[Message]:
    """Make messages without end, the same ones for the same seed."""
    chance = random.Random(seed)
    while True:
        yield chance.choice(_KINDS)(chance)


def envelope(content: object, **keys: Any) -> bytes:
    """Wrap as oslo.messaging's ``messagingv2`` does."""
    wrapped = {"oslo.version": "2.0", "oslo.message": json.dumps(content)} | keys
    return json.dumps(wrapped).encode()


def notification(image_id: object, **keys: Any) -> dict[str, Any]:
    """Return a notification as Glance sends it."""
    return {
        "message_id": str(uuid.uuid4()),
        "publisher_id": "image.RegionOne",
        "event_type": "image.update",
        "priority": "INFO",
        "payload": {"id": image_id, "status": "active", "name": "cirros"},
        "timestamp": "2026-11-22 08:07:51.999999",
        "_unique_id": uuid.uuid4().hex,
    } | keys


def _scalar(chance: random.Random) -> Any:
    return chance.choice(
        [
            None, True, False, 0, -1, 2**63, 10**40, 1e308, -0.0,
            chance.choice(_TEXTS), chance.choice(_EVENT_TYPES),
            str(uuid.UUID(int=chance.getrandbits(128))),
        ]
    )  # fmt: skip


def _value(chance: random.Random, depth: int = 3) -> Any:
    kind = chance.random()
    if depth == 0 or kind < 0.5:
        return _scalar(chance)
    if kind < 0.75:
        return [_value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {_name(chance): _value(chance, depth - 1) for _ in range(chance.randrange(4))}


def _name(chance: random.Random) -> str:
    return chance.choice(["id", "image_id", "status", "properties", "payload", "", "\x00", "é"])


def _odd_payload(chance: random.Random) -> Message:
    content = notification(_value(chance), event_type=chance.choice(_EVENT_TYPES))
    if chance.random() < 0.5:
        content["payload"] = _value(chance)
    return Message(body=envelope(content))


def _odd_fields(chance: random.Random) -> Message:
    content = notification(str(uuid.uuid4()), event_type="task.success")
    for key in chance.sample(sorted(content), chance.randrange(1, 4)):
        content[key] = _value(chance)
    for key in chance.sample(sorted(content), chance.randrange(3)):
        del content[key]
    return Message(body=envelope(content))


def _odd_context(chance: random.Random) -> Message:
    keys = ("_context_self", "_context_", "_context_msg_id", "_msg_id", "_reply_q", "_timeout")
    content = notification("no id") | {key: _value(chance) for key in chance.sample(keys, 2)}
    return Message(body=envelope(content))


def _odd_envelope(chance: random.Random) -> Message:
    version: Any = chance.choice(["2.0", "1.0", "9.9", "x", 2, None, [], {}])
    texts = ["", "{", "7", '"text"', "[[1, 2]]", "null", '{"a": 1}']
    inner: Any = chance.choice([*texts, None, 7, {}])
    return Message(body=json.dumps({"oslo.version": version, "oslo.message": inner}).encode())


def _bare(chance: random.Random) -> Message:
    return Message(body=json.dumps(_value(chance)).encode())


def _broken_json(chance: random.Random) -> Message:
    body = bytearray(envelope(notification("no id")))
    for _ in range(chance.randrange(1, 20)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return Message(body=bytes(body[: chance.randrange(len(body))]))


def _binary(chance: random.Random) -> Message:
    return Message(
        body=chance.randbytes(chance.randrange(2000)),
        content_encoding=chance.choice(["utf-8", "utf-16", "binary", "no-such-encoding", "zip"]),
    )


def _content_type(chance: random.Random) -> Message:
    content = notification("no id")
    body = chance.choice([pickle.dumps(content), envelope(content), b"!!python/object:os.system"])
    return Message(body=body, content_type=chance.choice(_CONTENT_TYPES))


def _deep(chance: random.Random) -> Message:
    depth = chance.choice([50, 500, 900, 930, 960, 990, 2000, 100_000])
    opening, closing = chance.choice([("[", "]"), ('{"a":', "}")])
    nested = opening * depth + "1" + closing * depth
    where = chance.choice(["id", "payload", "event_type"])
    if where == "id":
        inner = f'{{"event_type": "image.update", "payload": {{"id": {nested}}}}}'
    else:
        inner = f'{{"event_type": "image.update", "{where}": {nested}}}'
    return Message(body=json.dumps({"oslo.version": "2.0", "oslo.message": inner}).encode())


def _large(chance: random.Random) -> Message:
    size = chance.choice([10_000, 100_000, _MIB - 2000])
    text = chance.choice("ax\n\x1b") * size
    key = chance.choice(["publisher_id", "event_type", "payload", "_msg_id", "_unique_id"])
    if chance.random() < 0.2:
        return Message(body=text.encode())
    return Message(body=envelope(notification(text[: size // 2]) | {key: text[: size // 2]}))


def _headers(chance: random.Random) -> Message:
    headers: dict[str, Any] = chance.choice(
        [
            {"compression": "application/x-gzip"},
            {"compression": "no-such-compression"},
            {"compression": ""},
            {f"x-{number}": "y" * 200 for number in range(400)},
            {"x" * 200: _TEXTS[0], "nested": {"a": [{"b": None}] * 50}},
        ]
    )
    body = envelope(notification("no id"))
    return Message(body=gzip.compress(body) if chance.random() < 0.3 else body, headers=headers)


def _same_id(chance: random.Random) -> Message:
    unique_id = chance.choice(["once", ["a"], {"a": 1}, 7])
    return Message(body=envelope(notification("no id", _unique_id=unique_id)))


_KINDS: tuple[Callable[[random.Random], Message], ...] = (
    *(_odd_payload, _odd_fields, _odd_context, _odd_envelope) * 3,
    *(_bare, _broken_json, _binary, _content_type, _headers) * 2,
    _deep,
    _large,
    _same_id,
)
