# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the rules of oslo.policy, with their defaults."""

from typing import Any, Final

from oslo_config import cfg
from oslo_policy import opts
from oslo_policy import policy

from glance_sync_agent.api.callers import Caller

#: ``policy.yaml`` and ``policy.d`` of /etc/glance are those of Glance itself.
FILE: Final = "sync_policy.yaml"

_ADMIN: Final = "role:admin or role:service"
#: Every member of a project is a reader of it, so only the whole deployment's readers count.
_READER: Final = f"{_ADMIN} or (role:reader and system_scope:all)"

READ_IMAGES: Final = "image_sync:images:read"
CHANGE_IMAGES: Final = "image_sync:images:change"
READ_REGIONS: Final = "image_sync:regions:read"
CHANGE_REGIONS: Final = "image_sync:regions:change"
READ_EVENTS: Final = "image_sync:events:read"
READ_AGENTS: Final = "image_sync:agents:read"
READ_SCANS: Final = "image_sync:scans:read"
CHANGE_SCANS: Final = "image_sync:scans:change"
READ_VERIFICATIONS: Final = "image_sync:verifications:read"
CHANGE_VERIFICATIONS: Final = "image_sync:verifications:change"

_RULES: Final = (
    (READ_IMAGES, _READER, "List images with their state in each region."),
    (CHANGE_IMAGES, _ADMIN, "Request, retry and cancel copies."),
    (READ_REGIONS, _READER, "Show regions, and the summary."),
    (CHANGE_REGIONS, _ADMIN, "Pause and resume a region."),
    (READ_EVENTS, _READER, "List what was done, and what failed."),
    (READ_AGENTS, _READER, "List the agents."),
    (READ_SCANS, _READER, "Show scans, and what they found."),
    (CHANGE_SCANS, _ADMIN, "Ask for a scan."),
    (READ_VERIFICATIONS, _READER, "Show verifications, and their verdicts."),
    (CHANGE_VERIFICATIONS, _ADMIN, "Ask for a verification."),
)


def list_rules() -> list[policy.DocumentedRuleDefault]:
    """Return the rules for oslopolicy-sample-generator."""
    return [
        policy.DocumentedRuleDefault(
            name=name,
            check_str=check,
            description=description,
            operations=[{"path": "/v1", "method": "*"}],
            scope_types=["system", "project"],
        )
        for name, check, description in _RULES
    ]


def set_defaults(conf: cfg.ConfigOpts) -> None:
    """Set the defaults of ``[oslo_policy]`` to the files of this service."""
    opts.set_defaults(conf, policy_file=FILE)
    conf.set_default("policy_dirs", [], group="oslo_policy")


class Policies:
    """Checks the rules. Thread safe."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Read the defaults and the policy file of ``[oslo_policy]``, if there is one."""
        set_defaults(conf)
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(list_rules())
        self._enforcer.load_rules()

    def allows(self, caller: Caller, rule: str) -> bool:
        """Tell whether a caller may do something."""
        allowed: Any = self._enforcer.authorize(rule, {}, caller.credentials(), do_raise=False)
        return bool(allowed)

    def allowed(self, caller: Caller) -> list[str]:
        """Return the names of the rules that allow something to a caller."""
        return [name for name, *_details in _RULES if self.allows(caller, name)]
