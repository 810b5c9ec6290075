# SPDX-License-Identifier: Apache-2.0
"""Endpoints as people write them."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.transport import image_endpoints


@pytest.mark.parametrize(
    ("url", "shown", "header", "port"),
    [
        ("http://glance:9292", "http://glance:9292", "glance:9292", 9292),
        ("http://glance:9292/", "http://glance:9292", "glance:9292", 9292),
        ("http://glance:9292/v2/", "http://glance:9292", "glance:9292", 9292),
        ("https://cloud/image/v2", "https://cloud/image", "cloud", 443),
        ("http://cloud/image", "http://cloud/image", "cloud", 80),
        ("https://cloud:443", "https://cloud", "cloud", 443),
        ("http://[fd00::1]:9292", "http://[fd00::1]:9292", "[fd00::1]:9292", 9292),
    ],
)
def test_an_endpoint_is_read_as_the_catalogue_writes_it(
    url: str, shown: str, header: str, port: int
) -> None:
    endpoint = image_endpoints.parse(url)
    assert (str(endpoint), endpoint.host_header, endpoint.port) == (shown, header, port)


@pytest.mark.parametrize(
    "url",
    [
        "", "glance:9292", "ftp://glance", "http://", "http://glance:x", "http://u:pw@glance",
        "http://[::1", "http://u:pw@[fd00",
    ],
)
def test_what_is_no_endpoint_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="expected http") as caught:
        image_endpoints.parse(url)
    assert "pw" not in str(caught.value)
