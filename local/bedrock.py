"""Lets the embedded worker call the real Amazon Bedrock."""

import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.session
import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError

from local.processes import LOOPBACK
from local.terminal import LocalError

MAX_SECONDS = 900.0
PASSED = frozenset({"content-type", "accept"})


class Relay:
    """A loopback endpoint for bedrock-runtime that signs anew with the user's own credentials.

    ministack gives its functions credentials of its own, which Bedrock does not know. So the user's
    stay in this process, where botocore also renews them.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        session = botocore.session.get_session()
        try:
            credentials, region = session.get_credentials(), session.get_config_variable("region")
        except BotoCoreError as error:
            raise LocalError(f"Bedrock: the AWS credentials cannot be used: {error}") from error
        if credentials is None or region is None:
            raise LocalError(
                "Bedrock: there are no AWS credentials or no region: set AWS_PROFILE or AWS_REGION"
            )
        self._credentials = credentials
        self._region = region
        self._target = environ.get(
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", f"https://bedrock-runtime.{region}.amazonaws.com"
        )
        self._server = ThreadingHTTPServer((LOOPBACK, 0), self._handler())
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens, until the process ends."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def forward(self, path: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Send one request on, signed, and return Bedrock's answer as it is."""
        kept = {name: value for name, value in headers.items() if name.lower() in PASSED}
        request = AWSRequest("POST", self._target + path, headers=kept, data=body)
        SigV4Auth(self._credentials, "bedrock", self._region).add_auth(request)
        signed = dict(request.headers.items())
        return httpx.post(self._target + path, content=body, headers=signed, timeout=MAX_SECONDS)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        relay = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                try:
                    answer = relay.forward(self.path, dict(self.headers), body)
                    status, content = answer.status_code, answer.content
                    kind = answer.headers.get("x-amzn-errortype")
                except (httpx.HTTPError, BotoCoreError):
                    status, content, kind = 503, b"{}", "ServiceUnavailableException"
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                if kind:
                    self.send_header("x-amzn-ErrorType", kind)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
