# SPDX-License-Identifier: Apache-2.0
"""Which region's Glance a URL leads to."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.drivers.keystone import endpoint_urls
from tests.unit import builders

IMAGE = f"/v2/images/{builders.IMAGE_ID}"
ONE, TWO = images.RegionId("RegionOne"), images.RegionId("RegionTwo")
THREE, FOUR = images.RegionId("RegionThree"), images.RegionId("RegionFour")
FIVE, EIGHT = images.RegionId("RegionFive"), images.RegionId("RegionEight")
SIX, SEVEN = images.RegionId("RegionSix"), images.RegionId("RegionSeven")
BROKEN = images.RegionId("RegionNine")
ENDPOINTS = [
    ("http://glance.one:9292", ONE),
    ("http://glance.one.internal:9292/", ONE),
    ("https://cloud.example/image", TWO),
    ("https://cloud.example/image/three/v2", THREE),
    ("https://cloud.example/image-four/v2.16/", FOUR),
    ("http://[::1]:9292", FIVE),
    ("http://shared.example", SIX),
    ("http://shared.example:80/v2", SEVEN),
    ("http://both.example", EIGHT),
    ("http://both.example", EIGHT),
    ("http://[broken", BROKEN),
    ("http://port.example:many", BROKEN),
    ("", BROKEN),
    ("/", BROKEN),
]


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (f"http://glance.one:9292{IMAGE}", ONE),
        (f"http://glance.one.internal:9292{IMAGE}", ONE),
        (f"HTTP://Glance.ONE:9292{IMAGE}?x=1#y", ONE),
        (f"http://user:secret@glance.one:9292{IMAGE}", ONE),
        (f"https://cloud.example/image{IMAGE}", TWO),
        (f"https://cloud.example:443/image{IMAGE}", TWO),
        (f"https://cloud.example/image/three{IMAGE}", THREE),
        (f"https://cloud.example/image-four{IMAGE}", FOUR),
        (f"http://[::1]:9292{IMAGE}", FIVE),
        (f"http://both.example:80{IMAGE}", EIGHT),
    ],
)
def test_a_url_is_of_the_region_below_whose_endpoint_it_is(url, region):
    assert endpoint_urls.region_of(url, ENDPOINTS) == region
    assert endpoint_urls.region_of(url, reversed(ENDPOINTS)) == region


@pytest.mark.parametrize(
    "url",
    [
        pytest.param(f"https://glance.one:9292{IMAGE}", id="scheme"),
        pytest.param(f"http://glance.one.example:9292{IMAGE}", id="longer host"),
        pytest.param(f"http://glance.one:9293{IMAGE}", id="port"),
        pytest.param(f"http://glance.one{IMAGE}", id="default port"),
        pytest.param(f"http://glance.one:99999{IMAGE}", id="no port"),
        pytest.param(f"http://both.example:99999{IMAGE}", id="no port, and not the default"),
        pytest.param("http://glance.one:9292", id="no path"),
        pytest.param(f"https://cloud.example{IMAGE}", id="path"),
        pytest.param(f"https://cloud.example/images{IMAGE}", id="longer path"),
        pytest.param(f"http://shared.example{IMAGE}", id="shared"),
        pytest.param(f"http://[broken{IMAGE}", id="brackets"),
        pytest.param(f"http://port.example:many{IMAGE}", id="port in words"),
        pytest.param(f"http://{IMAGE}", id="no host"),
        pytest.param(IMAGE, id="no URL"),
        pytest.param(f"/{IMAGE}", id="no scheme"),
        pytest.param("file:///srv/images/x", id="file"),
        pytest.param("", id="empty"),
    ],
)
def test_any_other_url_has_no_region(url):
    assert endpoint_urls.region_of(url, ENDPOINTS) is None
    assert endpoint_urls.region_of(url, []) is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_text_is_a_crash(one, other):
    endpoints = [(other, ONE), (f"http://{other}", TWO)]
    for url in (one, f"http://{one}", f"{other}{one}", f"http://{other}/{one}"):
        endpoint_urls.region_of(url, endpoints)
