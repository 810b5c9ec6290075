# SPDX-License-Identifier: Apache-2.0
"""What to do when a Glance does not take an image for what it is.

The texts are Glance's (glance/common/exception.py), cursive's and oslo.limit's.
"""

import re
from typing import Final

_LEAVE_OUT: Final = "leave some out with [metadata] exclude_properties"
_REMEDIES: Final = {
    re.compile(r"number of allowed image properties"): "raise image_property_quota of that "
    "Glance, for a copy carries glance_sync_* beside the properties of its source, or "
    f"{_LEAVE_OUT}",
    re.compile(r"number of allowed image tags"): "raise image_tag_quota of that Glance",
    re.compile(r"number of allowed image members"): "raise image_member_quota of that Glance",
    # Glance compares the usage of the project that our token is of, whoever owns the image
    # (glance/quota/keystone.py).
    re.compile(r"is over a limit for"): "raise the limit of the agent's project in Keystone for "
    "that region: Glance counts the images that this project owns there",
    re.compile(r"will exceed the limit\. \S+ bytes remaining"): "raise user_storage_quota of that "
    "Glance",
    re.compile(r"Signature verification"): "bring the certificate that "
    "img_signature_certificate_uuid names into the key manager of that region, under that id, or "
    "leave the signature out with [metadata] exclude_properties = img_signature*",
    re.compile(r"Attribute '(?P<name>[^']+)' is reserved"): "let property_protection_file of that "
    "Glance give the agent's roles all rights on {name}; a property of its source can be left out "
    "with [metadata] exclude_properties instead",
}


def remedy(said: str) -> str:
    """Return what to do, to be put behind a reason; empty if that is not known.

    :param said: by Glance, in an answer that is an error.
    """
    for sign, text in _REMEDIES.items():
        if found := sign.search(said):
            return f"; {text.format(**found.groupdict())}"
    return ""
