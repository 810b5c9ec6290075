# SPDX-License-Identifier: Apache-2.0
"""Log-ins of users at a real Keystone, and at one that does not answer."""

import datetime

from keystoneauth1.identity import v3
import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone.log_ins import KeystoneLogIns


def session_at(auth_url):
    plugin = v3.Password(auth_url, "secret", username="x")
    return credentials.make_session(plugin, timeout_seconds=20.0)


def log_in(log_ins, user, **changes):
    scope = {"domain": user.domain, "project": user.project, "project_domain": user.domain}
    password = changes.pop("password", user.password)
    return log_ins.log_in(user.name, password, **{**scope, **changes})


@pytest.mark.cloud
def test_a_user_gets_a_token_until_the_log_out(cloud):
    described = cloud.describe()
    log_ins = KeystoneLogIns(session_at(described.auth_url))
    user = described.user("alice")
    issued = log_in(log_ins, user)
    assert (issued.user, issued.scope) == (user.name, user.project)
    assert issued.expires_at > datetime.datetime.now(datetime.UTC)
    assert issued.token not in repr(issued)
    log_ins.log_out(issued.token)
    with pytest.raises(errors.Refused):
        log_ins.log_out(issued.token)


@pytest.mark.cloud
@pytest.mark.parametrize(
    "changes",
    [
        {"password": "wrong"},
        {"domain": "Nowhere"},
        {"project": "nothing"},
        {"project_domain": "Nowhere"},
        {"project": ""},  # alice has no role on the whole deployment
    ],
    ids=str,
)
def test_a_wrong_log_in_is_refused(cloud, changes):
    described = cloud.describe()
    log_ins = KeystoneLogIns(session_at(described.auth_url))
    with pytest.raises(errors.Refused) as caught:
        log_in(log_ins, described.user("alice"), **changes)
    assert described.user("alice").password not in str(caught.value)


@pytest.mark.cloud
def test_a_role_on_the_whole_deployment_needs_no_project(cloud):
    described = cloud.describe()
    session = cloud.session("admin")
    user = described.user("admin")
    role = session.get("/roles?name=admin", endpoint_filter={"service_type": "identity"})
    path = f"/system/users/{session.get_user_id()}/roles/{role.json()['roles'][0]['id']}"
    session.put(path, endpoint_filter={"service_type": "identity"})
    try:
        log_ins = KeystoneLogIns(session_at(described.auth_url))
        assert log_in(log_ins, user, project="").scope == "the whole deployment"
    finally:
        session.delete(path, endpoint_filter={"service_type": "identity"})


def test_a_keystone_that_does_not_answer_is_unavailable():
    log_ins = KeystoneLogIns(session_at("http://127.0.0.1:9/v3"))
    with pytest.raises(errors.ServiceUnavailable):
        log_ins.log_in("u", "p", domain="d", project="p", project_domain="d")
    with pytest.raises(errors.ServiceUnavailable):
        log_ins.log_out("token")


def test_without_an_address_of_keystone_nobody_logs_in():
    session = credentials.make_session(v3.Password("", "secret", username="x"))
    with pytest.raises(errors.ServiceUnavailable, match="auth_url"):
        KeystoneLogIns(session).log_out("token")
