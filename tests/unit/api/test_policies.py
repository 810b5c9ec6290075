# SPDX-License-Identifier: Apache-2.0
"""Who may do what, and where an operator changes that."""

import types

from oslo_config import cfg
import pytest

from glance_sync_agent.api import callers
from glance_sync_agent.api import policies


def conf_in(directory):
    (directory / "sync.conf").write_text("[DEFAULT]\n")
    conf = cfg.ConfigOpts()
    conf(["--config-file", str(directory / "sync.conf")], default_config_dirs=[])
    return conf


def caller(*roles, is_system=False):
    return callers.Caller(
        user_id="u1",
        user_name="alice",
        project_id="p1",
        roles=frozenset(roles),
        is_system=is_system,
        token="secret",
        request_id=None,
    )


@pytest.mark.parametrize(
    ("who", "reads", "changes"),
    [
        (caller("admin"), True, True),
        (caller("service"), True, True),
        (caller("reader", is_system=True), True, False),
        (caller("reader"), False, False),
        (caller("member", "reader"), False, False),
        (caller(is_system=True), False, False),
    ],
)
def test_the_defaults_are_the_personas(tmp_path, who, reads, changes):
    found = policies.Policies(conf_in(tmp_path))
    for rule in (policies.READ_IMAGES, policies.READ_REGIONS, policies.READ_EVENTS):
        assert found.allows(who, rule) is reads
    for rule in (policies.CHANGE_IMAGES, policies.CHANGE_REGIONS):
        assert found.allows(who, rule) is changes


def test_an_operator_changes_a_rule_in_a_file_of_our_own(tmp_path):
    (tmp_path / "sync_policy.yaml").write_text(
        '"image_sync:images:change": "role:image_operator"\n'
    )
    found = policies.Policies(conf_in(tmp_path))
    assert found.allows(caller("image_operator"), policies.CHANGE_IMAGES)
    assert not found.allows(caller("admin"), policies.CHANGE_IMAGES)


def test_the_policy_of_glance_beside_it_changes_nothing(tmp_path):
    (tmp_path / "policy.yaml").write_text('"image_sync:images:change": "@"\n')
    (tmp_path / "policy.d").mkdir()
    (tmp_path / "policy.d" / "more.yaml").write_text('"image_sync:images:change": "@"\n')
    found = policies.Policies(conf_in(tmp_path))
    assert not found.allows(caller("member"), policies.CHANGE_IMAGES)


def test_a_token_is_not_shown():
    assert "secret" not in repr(caller("admin"))


def test_a_caller_is_what_the_middleware_says():
    environ = {
        "HTTP_X_IDENTITY_STATUS": "Confirmed",
        "HTTP_X_USER_ID": "u1",
        "HTTP_X_USER_NAME": "alice",
        "HTTP_X_PROJECT_ID": "p1",
        "HTTP_X_ROLES": "Admin, member,",
        "HTTP_OPENSTACK_SYSTEM_SCOPE": "all",
        "HTTP_X_AUTH_TOKEN": "secret",
        "openstack.request_id": "req-2",
    }
    found = callers.caller(environ)
    assert found is not None
    assert found.roles == {"admin", "member"}
    assert found.is_system
    assert (found.asks().by, found.asks().request_id) == ("alice (u1)", "req-2")
    chain = callers.caller({**environ, "openstack.global_request_id": "req-1"})
    assert chain is not None
    assert chain.asks().request_id == "req-1"
    assert callers.caller({**environ, "HTTP_X_IDENTITY_STATUS": "Invalid"}) is None


@pytest.mark.parametrize("is_system", [True, False])
def test_the_scope_of_a_service_token_is_not_the_users(is_system):
    user = types.SimpleNamespace(system_scoped=is_system)
    found = callers.caller(
        {
            "HTTP_X_IDENTITY_STATUS": "Confirmed",
            "HTTP_OPENSTACK_SYSTEM_SCOPE": "all",
            "keystone.token_auth": types.SimpleNamespace(user=user),
        }
    )
    assert found is not None
    assert found.is_system is is_system
