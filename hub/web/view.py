"""What every template gets: words, names of facilities, times in the county's zone, and headers of the answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from hub.recognition import messages
from hub.recognition.facts import recognition_of
from hub.recognition.model import Answer, Step
from hub.recognition.times import moment_of, zone_of
from hub.records.events import ARROW
from hub.records.labs import Result, Test
from hub.web import i18n
from hub.web.session import Session
from profiles.names import LOINC

if TYPE_CHECKING:
    from hub.app import Hub
    from hub.ingest.run import IntakeService

HERE = Path(__file__).parent
STATIC = HERE / "static"


@cache
def environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=select_autoescape(default=True),
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def static(name: str) -> str:
    """Address of a static file; it changes with the file, so browsers may keep it."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?{digest}"


class View:
    """One request's way to turn a template into an answer."""

    def __init__(self, request: Request, session: Session | None) -> None:
        self.request = request
        self.session = session
        self.hub: Hub = request.app.state.hub
        self.asked_language = request.query_params.get("lang", "")
        self.language = i18n.choose(
            self.asked_language, request.cookies.get(i18n.COOKIE, ""), request.headers.get("accept-language", "")
        )
        self.t = i18n.translator(self.language)
        self.zone = zone_of(self.hub.county.zone)

    @property
    def fragment(self) -> bool:
        return self.request.headers.get("hx-request") == "true"

    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.hub.clock() / 1000, UTC)

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    def page(self, template: str, values: Mapping[str, Any], *, status: int = 200) -> HTMLResponse:
        html = environment().get_template(template).render({**self.common(), **values})
        response = HTMLResponse(
            html, status, headers={"vary": "HX-Request, Accept-Language, Cookie", "content-language": self.language}
        )
        if self.asked_language:
            secure = self.request.url.scheme == "https"
            response.set_cookie(
                i18n.COOKIE, self.language, max_age=31_536_000, path="/", httponly=True, samesite="strict", secure=secure
            )
        return response

    def message(self, key: str, *, status: int, help: bool = False, text: str = "", trace: str = "") -> HTMLResponse:
        """A page, or the error region of a fragment, that says what to do; `trace` is the number of our own fault in the log."""
        text = text or self.t(f"{key}.text")
        if trace:
            trace = self.t("error.trace", trace=trace, time=f"{self.now.astimezone(self.zone):%Y-%m-%d %H:%M:%S}")
        if self.fragment:
            return self.page("_recognition.html", {"answers": (), "problem": f"{text} {trace}".strip()}, status=status)
        steps = tuple(self.t(f"{key}.{n}") for n in (1, 2, 3)) if help else ()
        values = {"title": self.t(f"{key}.title"), "text": text, "help": steps, "trace": trace}
        return self.page("message.html", values, status=status)

    def facility(self, code: str) -> str:
        found = self.hub.county.facility(code)
        if found is None:
            return code
        return found.name_en if self.language == "en" and found.name_en else found.name

    def when(self, stated: str) -> str:
        """A FHIR dateTime in the county's zone, no more precise than it was stated."""
        moment = moment_of(stated, self.zone) if stated else None
        if moment is None or moment.at is None:
            return stated[:10] or "—"
        return moment.at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M")

    def moment(self, at: datetime) -> str:
        """An instant in the county's zone, to the second; today's without its day."""
        here = at.astimezone(self.zone)
        return here.strftime("%H:%M:%S" if here.date() == self.today else "%Y-%m-%d %H:%M:%S")

    @property
    def item_order(self) -> tuple[str, ...]:
        """LOINC codes in the order of the county's catalogue: what belongs together stands together."""
        items = recognition_of(self.request.app.state).catalogue.items
        return tuple(match.code for item in items for match in item.match if match.system == LOINC)

    def item(self, named: Test | Result) -> tuple[str, str]:
        """A result's name in the page's language where the hub knows one, else the source's own, and its language."""
        words = i18n.catalogue(self.language)
        if self.language != "en":
            return (words.get(f"loinc.{named.loinc}", named.name), "zh-CN")
        found = recognition_of(self.request.app.state).catalogue.matching(LOINC, named.loinc)
        english = (found.display_en if found else "") or named.loinc_name
        return (english, "en") if english else (named.name, "zh-CN")

    def silent(self) -> tuple[str, ...]:
        """Facilities of which a channel is down, or every one if nothing is taken in: their newest data may be missing here."""
        intake: IntakeService | None = getattr(self.request.app.state, "intake", None)
        if intake is None:
            return ()
        behind = bool(intake.problem)
        waiting = [state for state in intake.states() if behind or not state.up]
        return tuple(dict.fromkeys(self.facility(state.facility) if state.facility else state.name for state in waiting))

    def age(self, age: tuple[int, str] | None) -> str:
        return self.t("age.unknown") if age is None else self.t(f"age.{age[1]}", n=age[0])

    def flag(self, code: str) -> str:
        words = i18n.catalogue(self.language)
        return words.get(f"flag.{code}", words["flag.other"])

    def scope(self, scope: str) -> str:
        return self.t(f"scope.{scope.partition(':')[0]}")

    def detail(self, step: Step) -> str:
        """A step's sentence with its codes in words: contexts, clocks, specimens, areas."""
        return messages.detail(replace(step, params={k: self._word(k, v) for k, v in step.params.items()}), self.language)

    def _word(self, name: str, value: str) -> str:
        words = i18n.catalogue(self.language)
        if name in ("context", "clock", "status"):
            return words.get(f"{name}.{value}", value)
        if name in ("scope", "needed"):
            return words.get(f"scope.{value.partition(':')[0]}", value)
        if name in ("stated", "accepted"):
            return ", ".join(words.get(f"specimen.{part}", part) for part in value.split(", "))
        return value

    def common(self) -> dict[str, Any]:
        county = self.hub.county
        english = self.language == "en"
        other = "en" if not english else "zh-CN"
        return {
            "t": self.t,
            "language": self.language,
            "other_language": other,
            "other_language_url": self._in_language(other),
            "session": self.session,
            "asked_person": str(self.request.path_params.get("id", "")),
            "county_name": county.name_en if english else county.name,
            "facility": self.facility,
            "when": self.when,
            "moment": self.moment,
            "age": self.age,
            "flag": self.flag,
            "scope": self.scope,
            "arrow": lambda code: ARROW.get(code, "!"),
            "rule": lambda step: messages.rule_name(step, self.language),
            "detail": self.detail,
            "reason": self._reason,
            "yuan": lambda fen: f"{fen / 100:.2f}",
            "static": static,
            "item": self.item,
            "silent": self.silent() if self.session else (),
            "now": self.now.astimezone(self.zone).strftime("%H:%M"),
        }

    def _reason(self, answer: Answer) -> str:
        return messages.reason(answer, self.language)

    def _in_language(self, language: str) -> str:
        """This page again; a page that only a POST makes comes back empty."""
        kept = [(k, v) for k, v in self.request.query_params.multi_items() if k != "lang"]
        return f"{self.request.url.path}?{urlencode([*kept, ('lang', language)])}"
