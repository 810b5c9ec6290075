# SPDX-License-Identifier: Apache-2.0
"""What operators copy from the documentation holds what it must."""

import configparser
import re
import textwrap

from glance_sync_agent.conf import options
from glance_sync_agent.conf import settings
from glance_sync_agent.conf import sync_conf
from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from tests import paths

_PAGES = paths.ROOT / "doc" / "source"
#: Those of Nova's and Cinder's own that a list of one's own must repeat.
_NOVA = {
    "cache_in_nova", "bittorrent", "img_signature", "img_signature_hash_method",
    "img_signature_key_type", "img_signature_certificate_uuid",
}
_CINDER = {
    "checksum", "container_format", "disk_format", "image_name", "image_id", "min_disk",
    "min_ram", "name", "size",
}
_MARK = {
    value
    for constant, value in vars(images).items()
    if constant[0].isupper() and isinstance(value, str) and value.startswith("glance_sync_")
}


def block(page: str, containing: str) -> configparser.RawConfigParser:
    text = (_PAGES / page).read_text()
    found = re.findall(r"^( *)\.\. code-block:: ini\n\n((?:\1 +.*\n|\n)+)", text, re.MULTILINE)
    (one,) = [textwrap.dedent(part) for _indent, part in found if containing in part]
    parser = configparser.RawConfigParser()
    parser.read_string(one)
    return parser


def names(page: str, section: str, option: str) -> list[str]:
    return block(page, f"{option} =").get(section, option).split(",")


def test_nova_keeps_the_whole_mark_off_snapshots_and_what_it_kept_off_before():
    found = names("inherited-properties.rst", "DEFAULT", "non_inheritable_image_properties")
    assert set(found) >= _NOVA | _MARK
    assert len(found) == len(set(found))


def test_cinder_keeps_the_whole_mark_off_images_and_what_it_kept_off_before():
    found = names("inherited-properties.rst", "DEFAULT", "glance_core_properties")
    assert set(found) >= _CINDER | _MARK


def test_the_mark_is_all_that_is_protected_and_all_may_read_it():
    parser = block("inherited-properties.rst", "[^glance_sync_.*]")
    mark, rest = parser.sections()
    assert all(re.search(mark, name) for name in _MARK)
    assert not re.search(mark, "os_distro")
    assert dict(parser[mark]) == {
        "create": "admin", "read": "@", "update": "admin", "delete": "admin",
    }
    assert set(parser[rest].values()) == {"@"}


def test_who_leaves_signatures_out_keeps_the_default_of_the_option():
    found = names("limits.rst", "metadata", "exclude_properties")
    (option,) = [one for one in options.GROUPS["metadata"] if one.dest == "exclude_properties"]
    assert set(found) == {*option.default, "img_signature*"}


def test_every_property_of_a_copy_is_explained():
    text = (_PAGES / "inherited-properties.rst").read_text()
    assert all(f"``{name}``" in text for name in _MARK)


def test_the_smallest_configuration_is_that_of_the_page_and_is_read(tmp_path):
    text = (paths.ROOT / "etc" / "glance" / "sync-minimal.conf").read_text()
    page = (_PAGES / "install.rst").read_text()
    assert textwrap.indent(text, "   ", lambda line: bool(line.strip())) in page
    path = tmp_path / "sync.conf"
    path.write_text(text)
    conf = sync_conf.parse([f"--config-file={path}"], prog="test", description="")
    assert settings.load(conf).engine.placement.strategy is strategy.Strategy.ALL
