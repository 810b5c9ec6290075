# SPDX-License-Identifier: Apache-2.0
"""``glance_store.yaml``: what is read from it, and what is said of a bad one."""

import logging
import textwrap

import hypothesis
from hypothesis import strategies as st
import pytest
import yaml

from glance_sync_agent import errors
from glance_sync_agent.conf import store_file
from tests import paths
from tests.unit import yaml_files

SAMPLE = paths.ROOT / "etc" / "glance" / "glance_store.yaml"
OF_2014 = """\
glances:
  - name: RegionTwo
    service_ip: "192.0.2.12"
    schemes:
      - name: filesystem
        parameters:
          host: '192.0.2.12'
          datadir: '/var/lib/glance/images/'
          login_user: 'glance'
          login_password: 'secret of 2014'
"""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "glance_store.yaml"


def write(file, text):
    file.write_text(textwrap.dedent(text))
    return file


def problems(file, text):
    file.write_text(textwrap.dedent(text))
    return yaml_files.problems(store_file.load, file)


def with_schemes(*names):
    schemes = ", ".join(f"{{name: {name}}}" for name in names)
    return f"glances: [{{name: R, schemes: [{schemes}]}}]"


def test_the_file_of_2014_loads_unchanged(file):
    (entry,) = store_file.load(write(file, OF_2014))

    assert (entry.name, entry.service_ip) == ("RegionTwo", "192.0.2.12")
    assert [scheme.name for scheme in entry.schemes] == ["filesystem"]
    assert entry.schemes[0].parameters == {
        "host": "192.0.2.12",
        "datadir": "/var/lib/glance/images/",
        "login_user": "glance",
        "login_password": "secret of 2014",
    }


def test_a_password_is_warned_about_and_not_shown(file, caplog):
    with caplog.at_level(logging.WARNING):
        entries = store_file.load(write(file, OF_2014))

    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(file) in record.getMessage()
    assert "RegionTwo" in record.getMessage()
    assert "secret of 2014" not in caplog.text + repr(entries)


def test_a_key_is_not_warned_about(file, caplog):
    text = OF_2014.replace("login_password: 'secret of 2014'", "key_filename: /etc/glance/key")

    store_file.load(write(file, text))

    assert not caplog.records


def test_the_sample_file_loads_without_a_warning(caplog):
    entries = store_file.load(SAMPLE)

    assert [entry.name for entry in entries] == ["RegionTwo", "RegionThree"]
    assert not caplog.records


def test_the_sample_explains_every_parameter():
    from glance_sync_agent.drivers.stores import filesystem

    text = SAMPLE.read_text()
    assert not [name for name in sorted(filesystem._KNOWN) if f"{name}:" not in text]


@pytest.mark.parametrize(
    ("written", "order"),
    [
        pytest.param(["swift", "http", "filesystem"], ["filesystem", "http", "swift"], id="known"),
        pytest.param(["swift", "http"], ["http", "swift"], id="without filesystem"),
        pytest.param(["rbd", "swift", "s3"], ["swift", "rbd", "s3"], id="others last, in order"),
    ],
)
def test_schemes_are_in_the_order_of_2014(file, written, order):
    (entry,) = store_file.load(write(file, with_schemes(*written)))

    assert [scheme.name for scheme in entry.schemes] == order


def test_numbers_and_words_of_yaml_are_texts(file):
    text = """\
        glances:
          - name: 7
            service_ip: 10.0.0.1
            schemes:
              - name: filesystem
                parameters: {port: 0x16, user: yes, empty: , tilde: ~}
        """
    (entry,) = store_file.load(write(file, text))

    assert entry.name == "7"
    parameters = entry.schemes[0].parameters
    assert parameters == {"port": "0x16", "user": "yes", "empty": "", "tilde": "~"}


@pytest.mark.parametrize("parameters", ["", ", parameters: ", ", parameters: ~"])
def test_parameters_and_service_ip_may_be_absent(file, parameters):
    text = f"glances: [{{name: R, schemes: [{{name: api{parameters}}}]}}]"

    (entry,) = store_file.load(write(file, text))

    assert entry.service_ip is None
    assert entry.schemes[0].parameters == {}


def test_unknown_keys_are_passed_over(file):
    text = OF_2014.replace("service_ip:", "comment: from 2014\n    service_ip:")

    (entry,) = store_file.load(write(file, text))

    assert entry.service_ip == "192.0.2.12"


def test_all_that_is_wrong_is_said_at_once_with_its_line(file):
    text = """\
        glances:
          - service_ip: 192.0.2.12
            schemes:
              - name: filesystem
                parameters: [host]
          - name: [RegionThree]
            schemes: filesystem
          - RegionFour
        """
    assert problems(file, text) == [
        (2, "expected 'name' to be a text"),
        (5, "expected a mapping of parameters"),
        (6, "expected 'name' to be a text"),
        (7, "expected 'schemes' to be a list of schemes"),
        (8, "expected a mapping with name, service_ip and schemes"),
    ]


@pytest.mark.parametrize("text", ["glances:", "glances: []", "glances: null", "glances: ~\n"])
def test_a_file_without_entries_loads(file, text):
    assert store_file.load(write(file, text)) == ()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        pytest.param("", 1, "expected a mapping with the key 'glances'", id="empty"),
        pytest.param("- a", 1, "expected a mapping with the key 'glances'", id="list"),
        pytest.param("regions: []", 1, "expected 'glances' to be a list of regions", id="no key"),
        pytest.param("glances: {}", 1, "expected 'glances' to be a list of regions", id="fields"),
        pytest.param("glances: ''", 1, "expected 'glances' to be a list of regions", id="text"),
        pytest.param("glances:\n  a: b", 2, "expected 'glances' to be a list of regions", id="is"),
        pytest.param(
            "glances:\n- name: R", 2, "expected 'schemes' to be a list of schemes", id="no schemes"
        ),
        pytest.param(
            "glances:\n- name: R\n  schemes: []",
            3,
            "expected 'schemes' to be a list of schemes",
            id="empty schemes",
        ),
        pytest.param(
            "glances:\n- name: R\n  schemes:\n  - filesystem",
            4,
            "expected a mapping with name and parameters",
            id="scheme is a word",
        ),
        pytest.param(
            "glances:\n- name: R\n  schemes:\n  - parameters: {a: b}",
            4,
            "expected 'name' to be a text",
            id="scheme without name",
        ),
        pytest.param(
            "glances:\n- name: ''\n  schemes: [{name: http}]",
            2,
            "expected 'name' to be a text",
            id="empty name",
        ),
        pytest.param(
            "glances:\n- name: R\n  service_ip: [a]\n  schemes: [{name: http}]",
            3,
            "expected 'service_ip' to be a text",
            id="address is a list",
        ),
        pytest.param(
            "glances:\n- name: R\n  schemes:\n  - name: x\n    parameters:\n      host: {a: b}",
            6,
            "expected 'host' to be a text",
            id="parameter is a mapping",
        ),
        pytest.param(
            "glances:\n- name: R\n  name: S\n  schemes: [{name: http}]",
            3,
            "'name' is given twice",
            id="duplicate key",
        ),
        pytest.param(
            "glances:\n- name: R\n  ? [a]\n  : b\n  schemes: [{name: http}]",
            3,
            "expected a plain word as key",
            id="key is a list",
        ),
        pytest.param(
            "glances:\n- name: R\n  schemes: [{name: a}]\n- name: R\n  schemes: [{name: b}]",
            4,
            "the region 'R' is given twice",
            id="duplicate region",
        ),
        pytest.param("glances: [", 1, "not YAML: ", id="no end"),
        pytest.param("a: b\nglances: *x", 2, "not YAML: found undefined alias", id="alias"),
        pytest.param("glances:\n\t- a", 2, "not YAML: found character", id="tab"),
    ],
)
def test_a_mistake_is_said_with_its_line(file, text, line, said):
    found = problems(file, text)

    assert [number for number, _ in found] == [line]
    assert found[0][1].startswith(said)


def test_a_region_that_is_given_twice_is_found_behind_a_broken_entry(file):
    one = "- name: R\n  schemes: [{name: http}]\n"

    assert problems(file, f"glances:\n- junk\n{one}{one}") == [
        (2, "expected a mapping with name, service_ip and schemes"),
        (5, "the region 'R' is given twice"),
    ]


def test_a_file_that_cannot_be_read_is_named(file):
    with pytest.raises(errors.ConfigurationError, match=f"{file}: cannot be read: No such file"):
        store_file.load(file)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff\xfe\x00", id="half UTF-16"),
        pytest.param(b"glances: \x00", id="NUL"),
        pytest.param(b"\x80", id="not UTF-8"),
        pytest.param(b"[" * 5000, id="deep"),
    ],
)
def test_bytes_that_are_no_text_are_refused(file, content):
    file.write_bytes(content)

    with pytest.raises(errors.ConfigurationError, match="not YAML"):
        store_file.load(file)


def load_quietly(file, content):
    """Load what may be anything; only one kind of error may come out."""
    file.write_bytes(content)
    try:
        entries = store_file.load(file)
    except errors.ConfigurationError as exc:
        return str(exc)
    assert isinstance(entries, tuple)
    assert all(entry.name and entry.schemes for entry in entries)
    return str(file)


@hypothesis.given(content=st.binary(max_size=200))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_junk_bytes_raise_nothing_but_a_configuration_error(file, content):
    assert load_quietly(file, content).startswith(str(file))


words = st.sampled_from(
    ["glances", "name", "schemes", "parameters", "service_ip", "filesystem", "", "~"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | words
trees = st.recursive(
    scalars,
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(words | scalars, children, max_size=5)
    ),
    max_leaves=30,
)


@hypothesis.given(tree=trees, style=st.sampled_from([True, False, None]))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_junk_trees_raise_nothing_but_a_configuration_error(file, tree, style):
    text = yaml.safe_dump({"glances": tree}, default_flow_style=style, allow_unicode=True)
    content = text.encode("utf-8", "surrogatepass")
    assert load_quietly(file, content).startswith(str(file))


@hypothesis.given(text=st.text(alphabet="glancesm:- \n[]{}&*!?|>'\"%#,a\t", max_size=80))
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_junk_yaml_raises_nothing_but_a_configuration_error(file, text):
    content = f"glances:\n- name: R\n  {text}".encode()
    assert load_quietly(file, content).startswith(str(file))
