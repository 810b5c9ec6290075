# SPDX-License-Identifier: Apache-2.0
"""A real OpenStack cloud of four regions on loopback, for demo, tests and benchmarks.

It is not a deployment tool: everything is under ``.cloud/<name>/`` of the checkout, and
``Cloud.wipe()`` removes all of it.
"""

from tools.cloud.cloud import Cloud
from tools.cloud.errors import CloudError
from tools.cloud.model import Description
from tools.cloud.model import Region
from tools.cloud.model import User

__all__ = ["Cloud", "CloudError", "Description", "Region", "User"]
