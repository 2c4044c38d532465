"""A caller of the one-operation service: what the hub sends by, or asks another platform with."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.base import SourceDenied, SourceUnavailable
from connectors.http import Http
from connectors.soap.config import SoapCredentials
from connectors.soap.credentials import username_token
from connectors.soap.envelope import NAMESPACE, SOAP_11, SOAP_12, TYPES, NotSoap, read_result, requested
from connectors.soap.payload import read_acknowledgement
from connectors.xml import NotXml

ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Told:
    """What a platform answered: the code of its acknowledgement, "" for an answer that is none, and all of it."""

    code: str
    answers: str  # the id of the message that it answers
    text: str
    content: str

    @property
    def accepted(self) -> bool:
        return self.code in ("AA", "CA")


class SoapClient:
    def __init__(
        self,
        url: str,
        http: Http,
        *,
        means: SoapCredentials | None = None,
        soap: str = SOAP_11,
        namespace: str = NAMESPACE,
        seconds: float = 60.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`means`: its `auth`, `user` and secret say who we are."""
        self._url = url
        self._http = http
        self._means = means
        self._soap = soap
        self._namespace = namespace
        self._seconds = seconds
        self._clock = clock

    def call(self, action: str, message: str) -> Told:
        """Raise SourceUnavailable without an answer or for one that cannot be read, SourceDenied where we may not call."""
        header, headers = self._credentials()
        kind = TYPES[self._soap]
        if self._soap == SOAP_12:
            kind += f'; action="{self._namespace}:HIPMessageServer"'
        stated = {"content-type": kind, "soapaction": f'"{self._namespace}:HIPMessageServer"', **headers}
        body = requested(action, message, soap=self._soap, namespace=self._namespace, header=header)
        answer = self._http.ask("POST", self._url, stated, body, seconds=self._seconds, limit=ANSWER_BYTES)
        if answer.status in (401, 403):
            raise SourceDenied(f"the service refuses us: HTTP {answer.status}")
        try:
            content = read_result(answer.body)
            code, answers, text = read_acknowledgement(content)
        except (NotSoap, NotXml) as error:
            raise SourceUnavailable(f"the service answers HTTP {answer.status}, {error}") from None
        return Told(code, answers, text, content)

    def _credentials(self) -> tuple[str, dict[str, str]]:
        """The envelope's header, and HTTP's."""
        means = self._means
        if means is None or means.auth == "none":
            return "", {}
        try:
            secret = means.secret()
        except LookupError as error:
            raise SourceDenied(str(error)) from None
        if means.auth == "basic":
            pair = base64.b64encode(f"{means.user}:{secret}".encode()).decode()
            return "", {"authorization": f"Basic {pair}"}
        return username_token(means.user, secret, nonce=secrets.token_bytes(16), created=self._clock()), {}
