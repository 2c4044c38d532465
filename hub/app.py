"""Wiring: a data folder and a county become a Hub; a Hub becomes a web application."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig

from hub.api.headers import SecurityHeaders
from hub.api.service import install_fhir
from hub.bulk.exports import serve_exports
from hub.bulk.imports import serve_imports
from hub.clock import utc_ms
from hub.definitions import Definitions
from hub.directory.facilities import keep_facilities
from hub.identity.resettling import keep_matching, serve_resettling
from hub.jobs import Jobs
from hub.outbox.service import Outbox
from hub.recognition.cds.router import router as cds_router
from hub.recognition.facts import recognition_of
from hub.recognition.plain import router as plain_recognition_router
from hub.recognition.publishing.service import serve_publishing
from hub.recognition.router import router as recognition_router
from hub.reindexing import keep_up, serve_reindexing
from hub.search.searchable import Searchable
from hub.security.audit_index import with_audit
from hub.security.door import Door, Save
from hub.security.egress import Egress
from hub.security.links import LinkSigner
from hub.security.tokens import TokenShelf, TokenStore
from hub.security.trail import AuditTrail, RemoteShipper, Shipper
from hub.settings import County
from hub.store.blobs import BlobStore
from hub.store.opening import Target, open_reader, open_store, target_of
from hub.store.port import ResourceStore
from hub.subscriptions.attempts import Attempt, Planner
from hub.subscriptions.attempts import Outcome as DeliveryOutcome
from hub.subscriptions.deliver import SUBSCRIPTIONS, Deliverer, by_http
from hub.terminology.ready import Keeper
from hub.terminology.service import Terminology
from hub.web.router import install as install_pages

SILENCES = 4  # how often takeover_seconds a job may save nothing: its pieces last longer than the renewal of a lease
READY_SECONDS = 2.0  # until a large code system that was written is made ready
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False}


@dataclass(frozen=True)
class Hub:
    """What the parts share. The pages and the API reach resources through `door`, the pipeline writes through `hub.keep`."""

    data: Path
    county: County
    store: ResourceStore
    blobs: BlobStore
    tokens: TokenStore
    door: Door
    trail: AuditTrail
    terminology: Terminology
    links: LinkSigner
    clock: Callable[[], int]  # UTC milliseconds
    searchable: Searchable
    jobs: Jobs
    deliverer: Deliverer[Attempt, DeliveryOutcome]
    outbox: Outbox

    def close(self) -> None:
        self.outbox.close()
        self.deliverer.close()
        self.jobs.close()
        self.trail.close()
        self.store.close()
        self.tokens.close()


def open_hub(data: Path, county: County, *, clock: Callable[[], int] = utc_ms, store: str = "") -> Hub:
    """Open the data folder, or make it; the county's facilities become Organizations.

    `store`: mongodb://…/database; without it what the environment says, else the folder itself (hub.store.opening).
    """
    return _opened(data, county, target_of(store), clock)


def _opened(data: Path, county: County, target: Target | None, clock: Callable[[], int]) -> Hub:
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    searchable = Searchable()
    indexer = with_audit(searchable.indexer(), searchable.customised)
    store = open_store(data, target, county.store, clock=clock, indexer=indexer)
    try:
        searchable.attach(store)
        keep_up(store, clock())
        keep_matching(store, county.identity, clock())
        store.write(lambda transaction: keep_facilities(transaction, county, clock())).result()
        jobs = Jobs(store, clock, sole=not store.shared, hold=int(SILENCES * 1000 * county.store.takeover_seconds))
        serve_reindexing(jobs, searchable, sole=not store.shared)
        serve_resettling(jobs, clock)
        trail = AuditTrail(data, clock, Shipper(data, store))
        hub = _hub(data, county, store, trail, clock, searchable, jobs, tidy=True)
        serve_exports(jobs, hub)
        serve_imports(jobs, hub)
        jobs.regularly(READY_SECONDS, Keeper(store).look)
        jobs.start()
        hub.deliverer.start()
        hub.outbox.start()
    except BaseException:
        store.close()
        raise
    return hub


def open_front(data: Path, county: County, *, settle: Callable[[], None], save: Save, clock: Callable[[], int] = utc_ms) -> Hub:
    """The same hub as another process has opened, for reading.

    That one is asked to bring logged audit events into the store (`settle`) and to `save` what was checked here.
    """
    searchable = Searchable()
    indexer = with_audit(searchable.indexer(), searchable.customised)
    store = open_reader(data, target_of(""), county.store, clock=clock, indexer=indexer)
    searchable.attach(store)
    jobs = Jobs(store, clock, sole=False)  # to tell of them; the other process does them
    trail = AuditTrail(data, clock, RemoteShipper(settle))
    return _hub(data, county, store, trail, clock, searchable, jobs, tidy=False, save=save)


def _hub(
    data: Path,
    county: County,
    store: ResourceStore,
    trail: AuditTrail,
    clock: Callable[[], int],
    searchable: Searchable,
    jobs: Jobs,
    *,
    tidy: bool,
    save: Save | None = None,
) -> Hub:
    terminology = Terminology(store)
    tokens = TokenStore(data, clock=clock, table=TokenShelf(store) if store.shared else None)
    door = Door(store, county, clock, trail, concepts=terminology, definitions=Definitions(terminology.files), save=save)
    blobs = BlobStore(data / "blobs", tidy=tidy)
    planner = Planner(store, clock, county.subscriptions, holder=tokens.holder, reads=door.reads)
    return Hub(
        data=data,
        county=county,
        store=store,
        blobs=blobs,
        tokens=tokens,
        door=door,
        trail=trail,
        terminology=terminology,
        links=LinkSigner.of_store(store) if store.shared else LinkSigner.of_folder(data),
        clock=clock,
        searchable=searchable,
        jobs=jobs,
        deliverer=Deliverer(
            store,
            planner,
            by_http(Egress(county.egress.allow)),
            name=SUBSCRIPTIONS,
            at_once=county.subscriptions.at_once,
            takeover_seconds=county.store.takeover_seconds,
        ),
        outbox=Outbox(store, blobs, county, clock, door.reads),
    )


def bare_app(hub: Hub) -> FastAPI:
    """Without a route yet. Docs pages are off, for they load scripts from elsewhere."""
    app = FastAPI(
        title="Yitong Hub", openapi_url=None, docs_url=None, redoc_url=None, telemetry=NO_TELEMETRY, redirect_slashes=False
    )
    app.state.hub = hub
    return app


def create_app(hub: Hub, *, beside: Path | None = None) -> FastAPI:
    """The hub's web application.

    `beside`: the folder of county.toml, where its own catalogues and maps lie. Raise Invalid if the county's catalogue is wrong.
    """
    app = bare_app(hub)
    app.state.county_folder = beside or hub.data
    hub.terminology.look_beside(app.state.county_folder)
    serve_publishing(hub, recognition_of(app.state))

    @app.get("/health")
    async def health() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    mount_parts(app)
    install_fhir(app)
    app.add_middleware(SecurityHeaders)  # the last one added is the outermost
    return app


def mount_parts(app: FastAPI) -> None:
    """Operations and pages that other packages bring; each has a `router` that reads `request.app.state.hub`."""
    app.include_router(recognition_router, prefix="/fhir")
    app.include_router(cds_router)
    app.include_router(plain_recognition_router)
    install_pages(app)
