# SPDX-License-Identifier: Apache-2.0
"""The options of ``[metadata]``: what copies share with their sources."""

from oslo_config import cfg
from oslo_config import types

#: Where this default is in force, the file may be absent.
DEFAULT_PROJECT_MAP = "project_map.yaml"

#: Where one of them says on_image_deletion, a Glance that deletes the image deletes its key, too
#: (glance/api/v2/images.py: _delete_encryption_key; the second is its successor in the
#: specification of standardised image encryption). The key is shared by all copies.
_DELETION_POLICIES = ("cinder_encryption_key_deletion_policy", "os_encrypt_key_deletion_policy")

OPTIONS = [
    cfg.ListOpt(
        "exclude_properties",
        default=list(_DELETION_POLICIES),
        mutable=True,
        help="Custom properties that copies do not get from their sources: names, or shell "
        "patterns such as internal_*, in their own case of letters. What the agent copied "
        "before is removed; what somebody else put on a copy stays. The default is what tells "
        "Glance to delete an image's encryption key along with the image: all copies share the "
        "source's key, so the deletion of one copy would make the others and the source "
        "unreadable. A list of your own takes the place of the default; repeat those names in "
        "it.",
    ),
    cfg.Opt(
        "owner",
        type=types.String(
            choices=[
                ("same", "the project that owns the source"),
                ("mapped", "the one that project_map gives for it in the copy's region"),
                ("agent", "the project of [service_credentials]"),
            ],
            ignore_case=True,
        ),
        default="same",
        mutable=True,
        help="The project that copies belong to; in any case of letters. Regions that share a "
        "Keystone have the same projects, so the default is the source's own. Where an image "
        "belongs, and whether its owner may use a region, is decided by the owner of the "
        "source all the same.",
    ),
    cfg.StrOpt(
        "project_map",
        default=DEFAULT_PROJECT_MAP,
        mutable=True,
        help="The projects of owner = mapped, for each region: a path, or a name looked up "
        "beside sync.conf. It is read at start and again at SIGHUP.",
    ),
    cfg.Opt(
        "visibility",
        type=types.String(
            choices=[
                ("same", "those who see the source see its copies"),
                ("private", "only the project that owns a copy sees it"),
            ],
            ignore_case=True,
        ),
        default="same",
        mutable=True,
        help="Who sees copies; in any case of letters. A private copy has no members.",
    ),
    cfg.BoolOpt(
        "members",
        default=True,
        mutable=True,
        help="Give copies the members of their sources, and nobody else. If false, the agent "
        "neither adds nor removes members of copies: those that are there stay, and somebody "
        "else manages them.",
    ),
]
