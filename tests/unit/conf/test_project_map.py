# SPDX-License-Identifier: Apache-2.0
"""``project_map.yaml``: what is read from it, and what is said of a bad one."""

from collections.abc import Mapping
import textwrap

import hypothesis
from hypothesis import strategies as st
import pytest
import yaml

from glance_sync_agent import errors
from glance_sync_agent.conf import project_map
from glance_sync_agent.domain import metadata_policy
from tests import paths
from tests.unit import yaml_files

SAMPLE = paths.ROOT / "etc" / "glance" / "project_map.yaml"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "project_map.yaml"


def load(file, text):
    file.write_text(textwrap.dedent(text))
    return project_map.load(file)


def problems(file, text):
    file.write_text(textwrap.dedent(text))
    return yaml_files.problems(project_map.load, file)


def test_projects_arrive_by_region(file):
    text = """\
        RegionTwo:
          6c8b1a867cf14f0e9d0b8a4f5b0d3c1e: alpha-two
          beta: gamma
        Region Three: {beta: beta}
        """
    assert load(file, text) == {
        "RegionTwo": {"6c8b1a867cf14f0e9d0b8a4f5b0d3c1e": "alpha-two", "beta": "gamma"},
        "Region Three": {"beta": "beta"},
    }


@pytest.mark.parametrize("number", ["00000000000000000007", "12345678e90", "0x1f", "1"])
def test_ids_that_yaml_takes_for_numbers_stay_as_they_were_written(file, number):
    assert load(file, f"R: {{{number}: {number}}}") == {"R": {number: number}}


def test_the_sample_loads_and_shares_the_projects_of_a_region(file):
    found = project_map.load(SAMPLE)
    two, three = found.values()
    assert list(found) == ["RegionTwo", "RegionThree"]
    assert two == three
    assert len(two) == 2


BAD = [
    pytest.param("", 1, "expected a mapping of regions", id="empty"),
    pytest.param("[RegionTwo]", 1, "expected a mapping of regions", id="list"),
    pytest.param("R: {a: b}\nS:", 2, "expected 'S' to be a mapping of project ids", id="null"),
    pytest.param("R: {a: b}\nS: {}", 2, "expected 'S' to be a mapping", id="no projects"),
    pytest.param("R: alpha", 1, "expected 'R' to be a mapping", id="text"),
    pytest.param("R: {a: b}\nR: {a: c}", 2, "'R' is given twice", id="region twice"),
    pytest.param("R:\n  a: b\n  a: c", 3, "'a' is given twice", id="project twice"),
    pytest.param("R:\n  a:\n", 2, "expected the id of a project for 'a'", id="no owner"),
    pytest.param("R:\n  a: null\n", 2, "expected the id of a project for 'a'", id="null owner"),
    pytest.param("R:\n  a: [b]\n", 2, "expected the id of a project for 'a'", id="owners"),
    pytest.param("R:\n  a: {b: c}\n", 2, "expected the id of a project for 'a'", id="deeper"),
    pytest.param("R:\n  a: the project\n", 2, "expected the id of a project for", id="name"),
    pytest.param("R:\n  a: ../b\n", 2, "expected the id of a project for", id="path"),
    pytest.param(f"R:\n  a: {'b' * 65}\n", 2, "expected the id of a project for", id="long"),
    pytest.param("R:\n  Golden Images: b\n", 2, "expected 'Golden Images' to be the id", id="key"),
    pytest.param("R:\n  ? [a]\n  : b\n", 2, "expected a plain word as key", id="list as key"),
    pytest.param("R: {", 1, "not YAML", id="yaml"),
]


@pytest.mark.parametrize(("text", "line", "complaint"), BAD)
def test_a_mistake_is_reported_with_its_line(file, text, line, complaint):
    found = problems(file, text)
    assert [number for number, said in found if complaint in said] == [line]


def test_all_mistakes_are_reported_at_once(file):
    text = """\
        RegionTwo:
          a: the other
          the one: b
        RegionThree: 7
        """
    assert [line for line, _said in problems(file, text)] == [2, 3, 4]


def test_the_longest_id_is_one(file):
    assert load(file, f"R: {{a: {'b' * 64}}}") == {"R": {"a": "b" * 64}}


def test_a_file_that_cannot_be_read_is_a_sentence(tmp_path):
    with pytest.raises(errors.ConfigurationError, match="cannot be read: Is a directory"):
        project_map.load(tmp_path)


@hypothesis.given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.none() | st.integers() | st.text(max_size=5), inner, max_size=4),
    )
)
def test_anything_is_either_read_or_refused_with_a_sentence(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("any") / "project_map.yaml"
    file.write_text(yaml.safe_dump(content))
    problem = ""
    found: metadata_policy.ProjectMap = {}
    try:
        found = project_map.load(file)
    except errors.ConfigurationError as exc:
        problem = str(exc)
    assert problem.startswith(f"{file}:") is bool(problem)
    for projects in found.values():
        assert isinstance(projects, Mapping)
        assert all(key and value for key, value in projects.items())
