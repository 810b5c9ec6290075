# SPDX-License-Identifier: Apache-2.0
"""How ``openstack`` finds the service and its commands (osc_lib.clientmanager)."""

import argparse
from typing import Any

from glancesyncclient import sdk

DEFAULT_API_VERSION = "1"
API_VERSION_OPTION = "os_image_sync_api_version"
API_NAME = "image_sync"
API_VERSIONS = {"1": "glancesyncclient.sdk.proxy.Proxy"}


def make_client(instance: Any) -> Any:
    """Return the proxy of the service."""
    return sdk.add_to(instance.sdk_connection)


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the option of the version."""
    parser.add_argument(
        "--os-image-sync-api-version",
        metavar="<image-sync-api-version>",
        default=DEFAULT_API_VERSION,
        help="version of the image-sync API (default: %(default)s)",
    )
    return parser
