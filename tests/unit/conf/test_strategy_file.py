# SPDX-License-Identifier: Apache-2.0
"""``sync_strategy.yaml``: what is read from it, and what is said of a bad one."""

from collections.abc import Sequence
import textwrap

import hypothesis
from hypothesis import strategies as st
import pytest
import yaml

from glance_sync_agent import errors
from glance_sync_agent.conf import strategy_file
from glance_sync_agent.domain import rules
from tests import paths
from tests.unit import yaml_files

SAMPLE = paths.ROOT / "etc" / "glance" / "sync_strategy.yaml"
MIB = 1024 * 1024


@pytest.fixture
def file(tmp_path):
    return tmp_path / "sync_strategy.yaml"


def load(file, text):
    file.write_text(textwrap.dedent(text))
    return strategy_file.load(file)


def problems(file, text):
    file.write_text(textwrap.dedent(text))
    return yaml_files.problems(strategy_file.load, file)


def test_every_condition_arrives(file):
    text = """\
        rules:
          - name: everything
            match:
              project_id: 6c8b1a867cf14f0e9d0b8a4f5b0d3c1e
              project_name: ['prod-*', stage]
              project_domain: Default
              project_tags: [production, eu]
              roles: member
              visibility: [public, shared]
              name: 'golden-*'
              tags: golden
              properties:
                os_distro: [debian, 'ubuntu*']
                hw_firmware_type: uefi
              min_size: 1MiB
              max_size: 2 GiB
              disk_format: qcow2
              container_format: [bare, ova]
            regions: [RegionTwo, 'Edge*']
        """
    assert load(file, text) == (
        rules.Rule(
            title="rule 1 'everything' (sync_strategy.yaml:2)",
            match=rules.Match(
                project_id=("6c8b1a867cf14f0e9d0b8a4f5b0d3c1e",),
                project_name=("prod-*", "stage"),
                project_domain=("Default",),
                project_tags=frozenset({"production", "eu"}),
                roles=frozenset({"member"}),
                visibility=("public", "shared"),
                name=("golden-*",),
                tags=frozenset({"golden"}),
                properties={"os_distro": ("debian", "ubuntu*"), "hw_firmware_type": ("uefi",)},
                min_size=MIB,
                max_size=2 * 1024 * MIB,
                disk_format=("qcow2",),
                container_format=("bare", "ova"),
            ),
            regions=("RegionTwo", "Edge*"),
        ),
    )


@pytest.mark.parametrize("match", ["", "    match:\n", "    match: null\n"])
def test_a_rule_without_conditions_is_about_every_image(file, match):
    (rule,) = load(file, f"rules:\n  - regions: '*'\n{match}")
    assert rule.match == rules.Match()
    assert rule.title == "rule 1 (sync_strategy.yaml:2)"


@pytest.mark.parametrize("text", ["none", "None", "[NONE]"])
def test_none_is_no_region(file, text):
    (rule,) = load(file, f"rules: [{{regions: {text}}}]")
    assert rule.regions == ()


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1048576", MIB), ("1MiB", MIB), ("1 MiB", MIB), ("2KiB", 2048), ("5B", 5)],
)
def test_sizes_have_units_or_are_bytes(file, text, size):
    (rule,) = load(file, f"rules: [{{match: {{min_size: {text}}}, regions: R}}]")
    assert rule.match.min_size == size


def test_the_sample_loads(file):
    assert [rule.regions for rule in strategy_file.load(SAMPLE)] == [("*",), (), ("Region*",)]


BAD = [
    pytest.param("", 1, "a mapping with the key 'rules'", id="empty"),
    pytest.param("rules: []", 1, "'rules' to be a list of rules", id="no rules"),
    pytest.param("rules: {a: b}", 1, "'rules' to be a list of rules", id="no list"),
    pytest.param("rule: []\nrules: [{regions: R}]", 1, "unknown 'rule'", id="top"),
    pytest.param("rules:\n- R", 2, "a mapping of name, match, regions", id="no rule"),
    pytest.param("rules:\n- name: x", 2, "expected 'regions'", id="no regions"),
    pytest.param("rules:\n- regions: []", 2, "'regions' to be a text or a list", id="empty list"),
    pytest.param("rules:\n- regions:", 2, "'regions' to be a text or a list", id="null"),
    pytest.param("rules:\n- regions: {a: b}", 2, "'regions' to be a text", id="mapping"),
    pytest.param("rules:\n- regions: [R, [S]]", 2, "'regions' to be a text", id="list in it"),
    pytest.param("rules:\n- regions: [none, R]", 2, "none to stand alone", id="none beside"),
    pytest.param("rules:\n- regions: R\n  math: {}", 3, "unknown 'math'", id="misspelt"),
    pytest.param("rules:\n- regions: R\n  match: x", 3, "a mapping of conditions", id="text"),
    pytest.param(
        "rules:\n- regions: R\n  match:\n    mach: x", 4,
        "unknown 'mach'; expected project_id, project_name,", id="condition",
    ),
    pytest.param(
        "rules:\n- regions: R\n  match:\n    visibility: secret", 4,
        "unknown visibility 'secret'; expected public, community, shared, private", id="secret",
    ),
    pytest.param(
        "rules:\n- regions: R\n  match:\n    min_size: big", 4,
        "'min_size' to be a size such as", id="size",
    ),
    pytest.param(
        "rules:\n- regions: R\n  match:\n    max_size: [1]", 4,
        "'max_size' to be a size such as", id="size list",
    ),
    pytest.param(
        "rules:\n- regions: R\n  match: {min_size: 2MiB, max_size: 1MiB}", 3,
        "min_size to be no more than max_size", id="bounds",
    ),
    pytest.param(
        "rules:\n- regions: R\n  match:\n    properties: os", 4,
        "a mapping of properties", id="properties",
    ),
    pytest.param(
        "rules:\n- regions: R\n  match:\n    properties: {os: {}}", 4,
        "'os' to be a text or a list", id="property",
    ),
    pytest.param("rules:\n- regions: R\n  regions: S", 3, "'regions' is given twice", id="twice"),
    pytest.param("rules: [", 1, "not YAML", id="yaml"),
]


@pytest.mark.parametrize(("text", "line", "complaint"), BAD)
def test_a_mistake_is_reported_with_its_line(file, text, line, complaint):
    found = problems(file, text)
    assert [number for number, said in found if complaint in said] == [line]


def test_all_mistakes_are_reported_at_once(file):
    text = """\
        rules:
          - match: {visibility: secret}
            regions: R
          - mach: x
            regions: [none, R]
        """
    assert [line for line, _said in problems(file, text)] == [2, 4, 5]


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(errors.ConfigurationError, match="cannot be read: Is a directory"):
        strategy_file.load(tmp_path)


@hypothesis.given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["rules", "match", "regions", "name", "min_size", "properties", "x"]),
            inner,
            max_size=4,
        ),
    )
)
def test_anything_is_either_read_or_refused_with_a_sentence(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("any") / "sync_strategy.yaml"
    file.write_text(yaml.safe_dump({"rules": content}))
    problem = ""
    found: Sequence[rules.Rule] = ()
    try:
        found = strategy_file.load(file)
    except errors.ConfigurationError as exc:
        problem = str(exc)
    assert problem.startswith(f"{file}:") is bool(problem)
    assert all(isinstance(rule, rules.Rule) for rule in found)
