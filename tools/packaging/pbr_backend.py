# SPDX-License-Identifier: Apache-2.0
"""The build backend: pbr, and a version of our own where there is no git.

pbr takes the version from ``PBR_VERSION``, from the PKG-INFO of an sdist, or
from git, and gives up where it finds none of them: in a plain copy of the
tree, say, or where git is not installed. Copies like those get the first
development version of the next release.

pbr sets the version only for backends whose name starts with "pbr".
"""

import os

from pbr import packaging
from pbr.build import *  # noqa: F403,H303 - its hooks are ours

#: The release that this tree leads to: the target of pbr's development
#: versions until a tag has reached it.
NEXT_RELEASE = "0.1.0"


def _version() -> str:
    try:
        return packaging.get_version("glance-sync-agent", NEXT_RELEASE)
    except ValueError:  # a tag is newer than NEXT_RELEASE: let git decide
        return packaging.get_version("glance-sync-agent")
    except Exception:  # pbr has no narrower one for "no version found"
        return f"{NEXT_RELEASE}.dev0"


os.environ["PBR_VERSION"] = _version()
