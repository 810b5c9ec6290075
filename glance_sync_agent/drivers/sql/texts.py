# SPDX-License-Identifier: Apache-2.0
"""The part of a text that a column can hold."""

_REASON_CHARACTERS = 2000
NAME_CHARACTERS = 255  # Glance's own limit
DAMAGE_CHARACTERS = 255  # a multihash takes 150
PROJECT_CHARACTERS = 64  # Keystone's own limit
PERSON_CHARACTERS = 255


def damage_text(text: str) -> str:
    """Return the part of a damage that the table can hold."""
    return _storable(text, DAMAGE_CHARACTERS)


def reason_text(text: str) -> str:
    """Return the part of a reason that the table can hold."""
    return _storable(text, _REASON_CHARACTERS)


def name_text(text: str | None) -> str | None:
    """Return the part of an image's name that the table can hold."""
    return None if text is None else _storable(text, NAME_CHARACTERS)


def project_text(text: str) -> str:
    """Return the part of a project's id that the table can hold."""
    return _storable(text, PROJECT_CHARACTERS)


def person_text(text: str) -> str:
    """Return the part of a person's name that the table can hold."""
    return _storable(text, PERSON_CHARACTERS)


def _storable(text: str, characters: int) -> str:
    # PostgreSQL refuses NUL, and no database takes half a surrogate pair, which JSON can hold.
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return text[:characters]
