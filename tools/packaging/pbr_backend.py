# SPDX-License-Identifier: Apache-2.0
"""The build backend: pbr, with a version for trees without git.

pbr takes the version from ``PBR_VERSION``, the PKG-INFO of an sdist, or git. It
fails without all of them, for example in a plain copy of the tree. Then this
backend sets the first development version of the next release.

pbr sets the version only for backends whose name starts with "pbr".
"""

import os

from pbr import packaging
from pbr.build import *  # noqa: F403,H303 - its hooks are ours

#: The next release. pbr's development versions lead to it until it has a tag.
NEXT_RELEASE = "0.1.0"


def _version() -> str:
    try:
        return packaging.get_version("glance-sync-agent", NEXT_RELEASE)
    except ValueError:  # a tag is newer than NEXT_RELEASE: let git decide
        return packaging.get_version("glance-sync-agent")
    except Exception:  # pbr has no narrower one for "no version found"
        return f"{NEXT_RELEASE}.dev0"


os.environ["PBR_VERSION"] = _version()
