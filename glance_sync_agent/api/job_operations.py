# SPDX-License-Identifier: Apache-2.0
"""The requests about scans and verifications."""

from typing import Final

from glance_sync_agent.api import jobs
from glance_sync_agent.api import policies
from glance_sync_agent.api import schemas
from glance_sync_agent.api.calls import Inputs
from glance_sync_agent.api.operation import Operation

_PAGE: Final = Inputs(query={"limit": schemas.LIMIT, "marker": schemas.JOB_ID})
_FINDINGS: Final = Inputs(query={"limit": schemas.LIMIT, "marker": schemas.NUMBER})

ALL: Final = (
    Operation(
        name="list_scans",
        method="GET",
        path="/v1/scans",
        handler=jobs.list_scans,
        rule=policies.READ_SCANS,
        answer="Scans",
        inputs=_PAGE,
    ),
    Operation(
        name="start_scan",
        method="POST",
        path="/v1/scans",
        handler=jobs.start_scan,
        rule=policies.CHANGE_SCANS,
        answer="Scan",
        status=202,
        inputs=Inputs(
            body={
                "regions": schemas.REGIONS,
                "dry_run": schemas.FLAG,
                "allow_deletes": schemas.COUNT,
            }
        ),
    ),
    Operation(
        name="show_scan",
        method="GET",
        path="/v1/scans/{job_id}",
        handler=jobs.show_scan,
        rule=policies.READ_SCANS,
        answer="Scan",
    ),
    Operation(
        name="cancel_scan",
        method="POST",
        path="/v1/scans/{job_id}/cancel",
        handler=jobs.cancel_scan,
        rule=policies.CHANGE_SCANS,
        answer="Scan",
        status=202,
    ),
    Operation(
        name="list_scan_findings",
        method="GET",
        path="/v1/scans/{job_id}/findings",
        handler=jobs.scan_findings,
        rule=policies.READ_SCANS,
        answer="Findings",
        inputs=_FINDINGS,
    ),
    Operation(
        name="list_verifications",
        method="GET",
        path="/v1/verifications",
        handler=jobs.list_verifications,
        rule=policies.READ_VERIFICATIONS,
        answer="Verifications",
        inputs=_PAGE,
    ),
    Operation(
        name="start_verification",
        method="POST",
        path="/v1/verifications",
        handler=jobs.start_verification,
        rule=policies.CHANGE_VERIFICATIONS,
        answer="Verification",
        status=202,
        inputs=Inputs(
            body={
                "image_id": schemas.IMAGE_ID,
                "regions": schemas.REGIONS,
                "dry_run": schemas.FLAG,
                "replace_all": schemas.FLAG,
            }
        ),
    ),
    Operation(
        name="show_verification",
        method="GET",
        path="/v1/verifications/{job_id}",
        handler=jobs.show_verification,
        rule=policies.READ_VERIFICATIONS,
        answer="Verification",
    ),
    Operation(
        name="cancel_verification",
        method="POST",
        path="/v1/verifications/{job_id}/cancel",
        handler=jobs.cancel_verification,
        rule=policies.CHANGE_VERIFICATIONS,
        answer="Verification",
        status=202,
    ),
    Operation(
        name="list_verification_findings",
        method="GET",
        path="/v1/verifications/{job_id}/findings",
        handler=jobs.verification_findings,
        rule=policies.READ_VERIFICATIONS,
        answer="Findings",
        inputs=_FINDINGS,
    ),
)
