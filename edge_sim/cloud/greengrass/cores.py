"""What a core has to do with its deployments: which are meant for it, and what its group lets it say and hear."""

from __future__ import annotations

from edge_sim.cloud.store import Store
from edge_sim.greengrass import groupfile
from edge_sim.greengrass.subscriptions import Subscription

CURRENT, DESIRED = "core-running", "core-desired"
"""Documents by core: the deployment that it reported last as a success, and the one that it has to carry out."""


def deployment(store: Store, deployment_id: str) -> tuple[str, str] | None:
    """Return the ARN of a deployment and the name of the core that it is for; None when there is none."""
    document = store.get("deployments", deployment_id)
    return (document["DeploymentArn"], document["ThingName"]) if document else None


def subscriptions(store: Store, thing_name: str) -> tuple[Subscription, ...]:
    """Return the subscriptions of the group that a core runs, and of the one that it is to run."""
    table: dict[Subscription, None] = {}
    for kind in (CURRENT, DESIRED):
        pointer = store.get(kind, thing_name)
        built = store.get("deployment-documents", pointer["DeploymentId"]) if pointer else None
        if built is not None:
            table.update(dict.fromkeys(groupfile.decode(built["group"]).subscriptions))
    return tuple(table)
