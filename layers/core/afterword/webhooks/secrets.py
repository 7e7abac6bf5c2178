"""The secrets of webhook endpoints, in Systems Manager's Parameter Store, and its only user.

Each endpoint has a parameter, a SecureString, which the account's own key `aws/ssm` encrypts. Its
value is JSON: the newest secret, and the older ones that sign beside it until their ends.

A rotation writes a new version of the parameter. The endpoint's item names the version that counts,
so a version that a crash left unnamed, and so unshown, never signs.
"""

import json
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from afterword import clock
from afterword.webhooks import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_ssm import SSMClient

_CACHE_SIZE = 1_000


class WebhookSecrets:
    """Secrets, under `/afterword/<table>/<tenant>/<endpoint>`.

    `table` is the name of the endpoints' table.
    """

    def __init__(self, ssm: "Callable[[], SSMClient]", table: str) -> None:
        self._ssm = ssm
        self._table = table
        self._known: dict[tuple[str, int], tuple[Secret, ...]] = {}

    def put(self, tenant: str, endpoint_id: str, secrets: "Sequence[Secret]") -> int:
        """Store an endpoint's secrets, and return their version."""
        value = [
            {
                "secret": each.text,
                "until": None if each.until is None else clock.to_millis(each.until),
            }
            for each in secrets
        ]
        answer = self._ssm().put_parameter(
            Name=self._name(tenant, endpoint_id),
            Value=json.dumps(value),
            Type="SecureString",
            Overwrite=True,
        )
        return answer["Version"]

    def get(self, tenant: str, endpoint_id: str, version: int) -> tuple[Secret, ...]:
        """Return a version of an endpoint's secrets, the newest secret first.

        A version never changes, and is cached.
        """
        name = self._name(tenant, endpoint_id)
        secrets = self._known.get((name, version))
        if secrets is None:
            answer = self._ssm().get_parameter(Name=f"{name}:{version}", WithDecryption=True)
            secrets = tuple(
                Secret(
                    each["secret"],
                    None if each["until"] is None else clock.from_millis(each["until"]),
                )
                for each in json.loads(answer["Parameter"]["Value"])
            )
            if len(self._known) >= _CACHE_SIZE:
                self._known.clear()
            self._known[name, version] = secrets
        return secrets

    def remove(self, tenant: str, endpoint_id: str) -> None:
        """Delete an endpoint's secrets; idempotent."""
        try:
            self._ssm().delete_parameter(Name=self._name(tenant, endpoint_id))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise

    def _name(self, tenant: str, endpoint_id: str) -> str:
        return f"/afterword/{self._table}/{tenant}/{endpoint_id}"
