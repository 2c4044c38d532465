"""Queries of another platform: each look asks each of them for what changed since the last one that was answered.

The cursor holds, by action, until when it has asked. An answer without a subject brings nothing; one that says AE or AR leaves the
cursor where it was.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape

from connectors.base import Cursor, Page, SourceDenied, SourceRecord, SourceUnavailable
from connectors.http import Outward
from connectors.soap.client import SoapClient, Told
from connectors.soap.envelope import SOAP_11, SOAP_12
from connectors.soap_query.config import Query, SoapQueryConfig
from connectors.xml import NotXml, child, read_xml
from connectors.zone import DEFAULT_ZONE, zone_of

STAMP = "%Y%m%d%H%M%S"


class SoapQueryConnector:
    def __init__(
        self,
        config: SoapQueryConfig,
        *,
        source: str,
        facility: str,
        outward: Outward,
        hints: Mapping[str, str] | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.source = source
        self._config = config
        self._facility = facility
        self._hints = dict(hints or {})
        self._zone = zone_of(self._hints.get("zone") or DEFAULT_ZONE)
        self._clock = clock
        self._client = SoapClient(
            config.url,
            outward((config.url,), config.ca_file),
            means=config,
            soap=SOAP_12 if config.soap == "1.2" else SOAP_11,
            namespace=config.namespace,
            seconds=config.seconds,
            clock=clock,
        )

    def check(self) -> None:
        """Each request can be read and is XML; the platform answers the first of them."""
        for query in self._config.queries:
            self._message(query, self._clock(), self._clock())
        self._asked(self._config.queries[0], self._clock(), self._clock())

    def fetch(self, cursor: Cursor) -> Iterator[Page]:
        reached = dict(cursor)
        for query in self._config.queries:
            until = self._clock()
            told = self._asked(query, self._since(reached.get(query.action, ""), until), until)
            reached[query.action] = until.isoformat()
            yield Page(self._records(query, told), dict(reached))

    def done(self, page: Page) -> None:
        """Nothing is left at the source."""

    def _since(self, former: str, until: datetime) -> datetime:
        if not former:
            return until - timedelta(hours=self._config.first_hours)
        return datetime.fromisoformat(former) - timedelta(seconds=self._config.overlap)

    def _message(self, query: Query, since: datetime, until: datetime) -> str:
        """Raise SourceDenied for a request that cannot be used: it is ours to mend."""
        try:
            text = query.request.read_text("utf-8")
            read_xml(text)
        except OSError as error:
            raise SourceDenied(f"{query.request}: {error.strerror}") from None
        except (NotXml, UnicodeDecodeError) as error:
            raise SourceDenied(f"{query.request}: {error if isinstance(error, NotXml) else 'not UTF-8'}") from None
        values = {
            "message_id": secrets.token_hex(8),
            "now": self._clock().astimezone(self._zone).strftime(STAMP),
            "since": since.astimezone(self._zone).strftime(STAMP),
            "until": until.astimezone(self._zone).strftime(STAMP),
        }
        for name, value in values.items():
            text = text.replace("{{" + name + "}}", escape(value))
        return text

    def _asked(self, query: Query, since: datetime, until: datetime) -> Told:
        told = self._client.call(query.action, self._message(query, since, until))
        if not told.accepted:
            raise SourceUnavailable(f"{query.action} is answered with {told.code[:2] or 'no acknowledgement'}")
        return told

    def _records(self, query: Query, told: Told) -> tuple[SourceRecord, ...]:
        if child(read_xml(told.content), "controlActProcess", "subject") is None:
            return ()
        content = told.content.encode()
        record = SourceRecord(
            source=self.source,
            facility=self._facility,
            kind=f"hl7v3/{query.action}",
            key=f"{query.action}#{hashlib.sha256(content).hexdigest()[:16]}",
            content=content,
            received_at=self._clock(),
            hints={**self._hints, "action": query.action},
        )
        return (record,)
