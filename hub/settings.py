"""The county in one file: facilities, channels, policy. A hospital's IT reads `county.toml` in one sitting.

Secrets never stand in it: a channel names a file or an environment variable that holds them.
"""

from __future__ import annotations

import codecs
import os
import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from hub.errors import Invalid

CHINA = "+08:00"


def fixed_offset(zone: object) -> object:
    """A zone's name as its offset: "Asia/Shanghai" is +08:00. A zone with summer time has no single one and is refused."""
    if not isinstance(zone, str) or re.fullmatch(r"[+-]\d\d:\d\d", zone, re.ASCII):
        return zone
    try:
        offsets = {datetime(2026, month, 1, tzinfo=ZoneInfo(zone)).strftime("%z") for month in (1, 7)}
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone {zone[:40]}: +08:00 or Asia/Shanghai") from None
    if len(offsets) > 1:
        raise ValueError(f"{zone} has summer time; state a fixed offset such as +08:00")
    (offset,) = offsets
    return f"{offset[:3]}:{offset[3:]}"


def in_china(zone: str) -> str:
    """The index reads times without an offset in China's zone, so the county's own zone must be that."""
    if zone != CHINA:
        raise ValueError(f"the county's zone must be {CHINA}; a channel may have another")
    return zone


Zone = Annotated[str, BeforeValidator(fixed_offset)]  # in which a time that states none is read


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Facility(Table):
    code: str = Field(pattern=r"^[A-Za-z0-9.\-]{1,32}$")  # also the id of its Organization
    name: str  # 示范县人民医院
    name_en: str = ""
    kind: str = ""  # WS 218 facility type: A100, A210, C220 …
    grade: str = ""  # 二级甲等 …
    parent: str = ""  # code of the facility it belongs to
    community: str = ""  # 医共体: members recognise one another's results
    identifiers: dict[str, str] = Field(default_factory=dict)  # uscc = "12…", by the names of hub/directory/identifiers.toml
    address: str = ""
    phone: str = ""
    false_utc: bool = False  # its systems write Z after their own wall clock
    areas: tuple[str, ...] = ()  # where it lies, narrowest first: "county:339900", "prefecture:3399", "province:33", "national"


Level = Literal["strict", "report"]
"""What becomes of a resource that breaks a rule beyond its structure: refused, or stored with its issues told."""


class Validation(Table):
    """How strictly resources are checked, by the way they come in. Their structure is always checked."""

    api: Level = "strict"  # one resource at a time
    transaction: Level = "strict"  # a Bundle
    imports: Level = Field(default="report", alias="import")  # $import and `yitong import`
    channels: Level = "report"  # what the mappers make; a channel may say otherwise
    unknown_profiles: Literal["warning", "error"] = "warning"  # named in meta.profile, but not kept here


class Channel(Table):
    """One source system. `options` belong to the connector and are checked by its own config model."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9\-]{0,63}$")
    connector: str  # hl7v2_mllp | sql | files | dicom
    facility: str = ""  # empty: the record says (MSH-4, calling AE title)
    zone: Zone = CHINA
    charset: str = ""
    maps: tuple[str, ...] = ()  # names of ConceptMaps or folders of them, beside county.toml or in profiles/cn/concept_maps
    tables: tuple[str, ...] = ()  # files of declared row tables, beside county.toml: tables/his.toml
    validation: Level | None = None  # None: as [validation] says for channels
    options: dict[str, Any] = Field(default_factory=dict)

    @field_validator("charset")
    @classmethod
    def known(cls, charset: str) -> str:
        if charset:
            try:
                codecs.lookup(charset.replace(" ", "-"))
            except LookupError:
                raise ValueError(f"no character set {charset}: UTF-8, GB18030, GBK …") from None
        return charset

    @model_validator(mode="before")
    @classmethod
    def gather(cls, values: Any) -> Any:
        return _gathered(cls, values)


def _gathered(table: type[Table], values: Any) -> Any:
    """Unknown keys of a [[channel]] or a [[destination]] are options of its kind: the file stays flat."""
    if not isinstance(values, dict) or "options" in values:
        return values
    own = {k: v for k, v in values.items() if k in table.model_fields}
    return {**own, "options": {k: v for k, v in values.items() if k not in table.model_fields}}


class Destination(Table):
    """One system that the hub reports back to (hub.outbox). `options` belong to its kind and are checked there."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9\-]{0,63}$")
    kind: Literal["mllp", "dicom", "fhir", "folder"]
    facility: str = Field(min_length=1)  # whose system it is: it gets what that facility may see; "*": the county's own
    criteria: tuple[str, ...] = Field(min_length=1)  # "DiagnosticReport?status=final,amended": what is sent
    of: tuple[str, ...] = ()  # only records of these facilities
    ordered_by: tuple[str, ...] = ()  # only what answers an order of these facilities
    first_retry_seconds: float = Field(default=1, gt=0)  # then twice as long each time …
    longest_retry_seconds: float = Field(default=60, gt=0)  # … up to this
    most_attempts: int = Field(default=10, ge=1)  # answers of failure to one message, until it is set aside
    give_up_hours: float = Field(default=168, gt=0)  # without any answer to one message, until it is set aside
    timeout_seconds: float = Field(default=30, gt=0)  # for one message and its answer
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def gather(cls, values: Any) -> Any:
        return _gathered(cls, values)


class StoreSettings(Table):
    """Of a store on a server; which one, the command line or the environment says."""

    allow_unsafe_server: bool = False  # a MongoDB version with a known hole, where nobody else can reach it
    takeover_seconds: float = Field(default=15, ge=1, le=600)  # of silence, after which another hub on it does a hub's work


class EgressSettings(Table):
    """What the hub may call by itself beyond public https addresses (hub.security.egress)."""

    allow: tuple[str, ...] = ()  # his.county.example, 192.168.7.4:8080, 10.20.0.0/16
    imports: tuple[str, ...] = ()  # from where $import may fetch files; nowhere, unless named here


class SubscriptionSettings(Table):
    """Of what is delivered to those who subscribed (hub.subscriptions)."""

    first_retry_seconds: float = Field(default=2, gt=0)  # then twice as long each time …
    longest_retry_seconds: float = Field(default=3600, gt=0)  # … up to this
    give_up_hours: float = Field(default=72, gt=0)  # of failing without a success: then its status is error
    at_once: int = Field(default=8, ge=1, le=64)  # endpoints called at the same time
    websockets: int = Field(default=200, ge=0)  # connections at the same time
    base: str = ""  # https://hub.county.example/fhir: the hub's own address as receivers know it


class Policy(Table):
    treatment_days: int = Field(default=30, ge=0)  # how long after an encounter's end its facility still treats the person
    open_encounter_days: int = Field(default=365, ge=1)  # an encounter never closed stops counting after this
    break_glass_hours: float = Field(default=24, gt=0, le=24)  # how long an emergency opens a record
    break_glass_review_days: int = Field(default=3, ge=1)  # until which somebody has to look at it
    facility_ids: bool = False
    """An id that a facility's client chooses begins with the facility's code: CTY-4711.

    Without it, a PUT to an id that another facility has used is 404, and one to a free id 201: trying ids tells which are used.
    True is safer; it is not the default because clients that bring ids of their own would have to change them.
    """


class IdentitySettings(Table):
    """When Patients of several facilities are one person (hub.identity). Evidence is counted in bits: log2(m / u)."""

    link: float = Field(default=38, ge=20, le=100)  # evidence from which two are linked without asking anybody
    doubt: float = Field(default=24, ge=5, le=100)  # evidence from which somebody is asked
    weights: str = ""  # a file beside county.toml, of the shape of hub/identity/weights.toml; "": that one

    @model_validator(mode="after")
    def in_order(self) -> IdentitySettings:
        if self.doubt >= self.link:
            raise ValueError("doubt is less than link")
        return self


class DirectorySettings(Table):
    """Of facilities, departments and staff (hub.directory)."""

    identifiers: str = ""  # a file beside county.toml, of the shape of hub/directory/identifiers.toml; "": that one


def _minute(text: str) -> int:
    hour, _, minute = text.partition(":")
    return 60 * int(hour) + int(minute)


QuietHours = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$")]


class Alert(Table):
    """When someone must be told of a channel (hub.ingest.alerts). 0: not of this."""

    channel: str = ""  # empty: every channel that has no rule of its own
    silence_minutes: float = Field(default=0, ge=0)  # without a record
    silence_from_start: bool = True  # a hub that was off for a night does not count that as silence
    backlog: int = Field(default=0, ge=0)  # records that wait
    error_percent: float = Field(default=0, ge=0, le=100)  # of the last quarter of an hour's records, ten at least
    down_minutes: float = Field(default=0, ge=0)  # that the channel cannot reach its source, or its port
    quiet: tuple[QuietHours, ...] = ()  # "22:00-06:00": no alert of silence then, in the county's time
    webhook: str = ""  # https://…: gets a POST of JSON; an address of the own network is named in egress.allow

    def is_quiet(self, local: datetime) -> bool:
        now = 60 * local.hour + local.minute
        spans = [tuple(map(_minute, span.split("-"))) for span in self.quiet]
        return any(begin <= now < end if begin <= end else now >= begin or now < end for begin, end in spans)


class RecognitionClient(Table):
    """A CDS client that signs its requests itself. https://cds-hooks.hl7.org/2.0/#trusting-cds-clients"""

    issuer: str = Field(min_length=1)  # the iss of its tokens
    jwks: str = Field(min_length=1)  # a file beside county.toml: the client's public keys as a JWK Set
    facility: str = Field(min_length=1)  # whose doctors order there


class RecognitionSettings(Table):
    """Of what is answered while a doctor orders (hub.recognition)."""

    answer_seconds: float = Field(default=0.8, gt=0, le=10)  # after this the order goes on without an answer
    cors_origins: tuple[str, ...] = (
        "https://sandbox.cds-hooks.org",
    )  # browsers' pages that may call CDS Hooks; each brings a token
    embed_origins: tuple[str, ...] = ()  # pages that may show the prompt in a frame: https://his.county.example
    base: str = ""  # https://hub.county.example: the hub's address as doctors' stations know it
    open_days: int = Field(default=30, ge=0, le=366)  # a prompt older than this is not reviewed when evidence changes
    clients: tuple[RecognitionClient, ...] = Field(default=(), alias="client")


class MetricsSettings(Table):
    """Who may scrape /metrics beside the roles admin and it."""

    token_env: str = ""  # the environment variable that holds a token for it alone

    def token(self) -> str:
        return os.environ.get(self.token_env, "") if self.token_env else ""


class RecordSettings(Table):
    """Of what is shown and printed of a person's record (hub.records)."""

    print_font: str = ""  # a TrueType file that has the county's rare characters; without it the viewer's own Chinese font is used


class County(Table):
    name: str = "医共体"
    name_en: str = "County medical community"
    code: str = ""
    zone: Annotated[Zone, AfterValidator(in_china)] = CHINA
    facilities: tuple[Facility, ...] = Field(default=(), alias="facility")
    channels: tuple[Channel, ...] = Field(default=(), alias="channel")
    destinations: tuple[Destination, ...] = Field(default=(), alias="destination")
    policy: Policy = Policy()
    records: RecordSettings = RecordSettings()
    identity: IdentitySettings = IdentitySettings()
    directory: DirectorySettings = DirectorySettings()
    store: StoreSettings = StoreSettings()
    validation: Validation = Validation()
    egress: EgressSettings = EgressSettings()
    alerts: tuple[Alert, ...] = Field(default=(), alias="alert")
    metrics: MetricsSettings = MetricsSettings()
    recognition: RecognitionSettings = RecognitionSettings()
    subscriptions: SubscriptionSettings = SubscriptionSettings()
    catalogue: str = "county-demo"  # which recognition catalogue is in force
    community: str = ""  # the community of facilities that state none

    @model_validator(mode="after")
    def each_once(self) -> County:
        """A channel's name keys its records and its state, a facility's code its Organization: the second would hide the first."""
        for what, names in (
            ("facility code", [f.code for f in self.facilities]),
            ("channel", [c.name for c in self.channels]),
            ("destination", [d.name for d in self.destinations]),
        ):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{what} {twice} is stated twice")
        return self

    @model_validator(mode="after")
    def known_to_destinations(self) -> County:
        """A wrong code would send another facility's records, or none at all."""
        for each in self.destinations:
            for code in (each.facility, *each.of, *each.ordered_by):
                if code != "*" and self.facility(code) is None:
                    raise ValueError(f"destination {each.name}: no facility {code}")
        return self

    @model_validator(mode="after")
    def known_to_recognition(self) -> County:
        """A client of no facility would be answered as nobody."""
        for each in self.recognition.clients:
            if self.facility(each.facility) is None:
                raise ValueError(f"recognition.client {each.issuer}: no facility {each.facility}")
        return self

    @model_validator(mode="after")
    def known_to_alerts(self) -> County:
        """A rule for a channel that is not there would never tell anyone."""
        names = {channel.name for channel in self.channels}
        for each in self.alerts:
            if each.channel and each.channel not in names:
                raise ValueError(f"alert: no channel {each.channel}")
        return self

    def facility(self, code: str) -> Facility | None:
        return next((f for f in self.facilities if f.code == code), None)

    def facility_of_id(self, id: str) -> str:
        """The code of the facility whose clients may choose this id, as `policy.facility_ids` has it; "" for none."""
        return max((f.code for f in self.facilities if id.startswith(f"{f.code}-")), key=len, default="")


def load_county(path: Path | None) -> County:
    """Read county.toml; None gives a county without facilities, where records say whose they are.

    Raise Invalid naming the line or the table that is wrong.
    """
    if path is None:
        return County()
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise Invalid(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{path}: {error}") from None
    head = values.pop("county", {})
    try:
        return _beside(path, County.model_validate({**head, **values}))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "county"
        raise Invalid(f"{path}: {where}: {_says(first)}") from None


def _beside(path: Path, county: County) -> County:
    """With the addresses of its own tables as ones that hold wherever the hub is started."""
    changed: dict[str, Any] = {}
    if county.identity.weights:
        weights = str(path.parent / county.identity.weights)
        changed["identity"] = county.identity.model_copy(update={"weights": weights})
    if county.directory.identifiers:
        identifiers = str(path.parent / county.directory.identifiers)
        changed["directory"] = county.directory.model_copy(update={"identifiers": identifiers})
    return county.model_copy(update=changed)


def _says(error: ErrorDetails) -> str:
    return "no such setting" if error["type"] == "extra_forbidden" else error["msg"]
