# SPDX-License-Identifier: Apache-2.0
"""The options about what copies share with their sources."""

import pathlib

from oslo_config import cfg
from oslo_config import types

from glance_sync_agent.conf import project_map
from glance_sync_agent.domain import metadata_policy

DEFAULT_PROJECT_MAP = "project_map.yaml"  # may be absent

#: With the value on_image_deletion, Glance deletes the image's key along with the image
#: (glance/api/v2/images.py: _delete_encryption_key; the second is its successor in the
#: specification of standardised image encryption). All copies share the key.
_DELETION_POLICIES = ("cinder_encryption_key_deletion_policy", "os_encrypt_key_deletion_policy")

OPTIONS = {
    "metadata": [
        cfg.ListOpt(
            "exclude_properties", default=list(_DELETION_POLICIES), mutable=True,
            help="Custom properties that copies do not get: names or shell patterns such as "
            "internal_*; case matters. The agent removes those that it copied before. If you set "
            "it, repeat the default names: they would make Glance delete the encryption key that "
            "an image shares with its copies.",
        ),
        cfg.Opt(
            "owner",
            type=types.String(
                choices=[
                    ("same", "the project that owns the source"),
                    ("mapped", "the project that project_map names for the copy's region"),
                    ("agent", "the project of [service_credentials]"),
                ],
                ignore_case=True,
            ),
            default="same", mutable=True,
            help="The project that owns copies; case does not matter. Change it if the regions do "
            "not share one Keystone. Placement always depends on the owner of the source.",
        ),
        cfg.StrOpt(
            "project_map", default=DEFAULT_PROJECT_MAP, mutable=True,
            help="File with the projects of each region for owner = mapped: a path, or a name "
            "beside sync.conf. The agent reads it at start and at SIGHUP.",
        ),
        cfg.Opt(
            "visibility",
            type=types.String(
                choices=[
                    ("same", "the visibility of the source"),
                    ("private", "only the project that owns a copy sees it"),
                ],
                ignore_case=True,
            ),
            default="same", mutable=True,
            help="The visibility of copies; case does not matter. Choose private if users of the "
            "cascaded regions must not see them. A private copy has no members.",
        ),
        cfg.BoolOpt(
            "members", default=True, mutable=True,
            help="Give copies exactly the members of their sources. Set it to false if something "
            "else manages the members of copies; the agent then adds and removes none.",
        ),
    ],
}


def policy(
    conf: cfg.ConfigOpts, map_file: pathlib.Path | None
) -> metadata_policy.MetadataPolicy:
    """Return the policy.

    :raises ValueError: the owner is mapped, and there is no map.
    :raises ConfigurationError: the map is wrong.
    """
    group = conf.metadata
    owner = metadata_policy.Owner(group.owner.lower())
    if owner is metadata_policy.Owner.MAPPED and map_file is None:
        raise ValueError(
            "[metadata] owner = mapped needs the file of [metadata] project_map, and there is no "
            f"{group.project_map} beside sync.conf"
        )
    return metadata_policy.MetadataPolicy(
        exclude_properties=tuple(group.exclude_properties),
        owner=owner,
        # Read for every kind of owner, so that a mistake shows before the day it is needed.
        project_map=project_map.load(map_file) if map_file else {},
        visibility=metadata_policy.Visibility(group.visibility.lower()),
        members=group.members,
    )
