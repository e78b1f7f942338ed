"""The metrics page, in Prometheus' text format, out of the OpenTelemetry SDK."""

from collections.abc import Callable, Iterable

from fastapi import APIRouter
from fastapi.responses import Response
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from gateway.api.services import Services

Callback = Callable[[CallbackOptions], Iterable[Observation]]


def router(services: Services) -> APIRouter:
    """Return the metrics route."""
    registry = CollectorRegistry()
    _instruments(services, registry)
    routes = APIRouter()

    @routes.get("/-/metrics", response_class=Response)
    async def metrics() -> Response:
        """Return every metric in the text exposition format."""
        # On the event loop, where the counters are written: in a worker thread they would change while being read.
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _instruments(services: Services, registry: CollectorRegistry) -> None:
    # Every instrument reads a number that the data path keeps anyway, when it is asked: a request pays nothing.
    reader = PrometheusMetricReader(registry=registry, scope_info_enabled=False, disable_target_info=True)
    resource = Resource.create({"service.name": "portcullis", "service.instance.id": services.instance})
    meter = MeterProvider(metric_readers=[reader], resource=resource).get_meter("portcullis")
    counters, audit, policy = services.counters, services.audit, services.policy

    def one(read: Callable[[], int]) -> list[Callback]:
        return [lambda _: [Observation(read())]]

    meter.create_observable_counter(
        "portcullis.decisions",
        [lambda _: [Observation(count, {"verdict": verdict}) for verdict, count in counters.decisions.items()]],
        description="Recorded decisions, by verdict.",
    )
    meter.create_observable_counter(
        "portcullis.responses",
        [lambda _: [Observation(count, {"status": str(status)}) for status, count in counters.responses.items()]],
        description="Answers to forwarded requests, by HTTP status.",
    )
    meter.create_observable_counter(
        "portcullis.forward.duration",
        [lambda _: [Observation(counters.duration_us / 1e6)]],
        unit="s",
        description="Seconds spent forwarding, all requests together.",
    )
    meter.create_observable_counter(
        "portcullis.forward.unanswered",
        one(lambda: counters.unanswered),
        description="Forwarded requests that ended before any answer began, whoever's fault it was.",
    )
    meter.create_observable_counter(
        "portcullis.unrecorded",
        one(lambda: counters.unrecorded),
        description="Requests answered 503 because their decision could not be recorded.",
    )
    meter.create_observable_gauge(
        "portcullis.audit.size", one(lambda: audit.counters.size), description="Records in the audit log."
    )
    meter.create_observable_gauge(
        "portcullis.audit.queued", one(lambda: audit.counters.queued), description="Records waiting to be written."
    )
    meter.create_observable_gauge(
        "portcullis.audit.open_decisions",
        one(lambda: audit.counters.open_decisions),
        description="Allowed decisions whose outcome is not in the log yet.",
    )
    meter.create_observable_counter(
        "portcullis.audit.batches", one(lambda: audit.counters.batches), description="Transactions of the audit log."
    )
    meter.create_observable_counter(
        "portcullis.audit.dropped",
        one(lambda: audit.counters.dropped),
        description="Outcomes dropped while the log could not be written; their decisions become indeterminate.",
    )
    meter.create_observable_gauge(
        "portcullis.audit.writable",
        one(lambda: int(audit.problem is None)),
        description="1 while the audit log can be written, else 0.",
    )
    meter.create_observable_gauge(
        "portcullis.policy.stale",
        one(lambda: int(policy.problem is not None)),
        description="1 while a newer policy was refused and the last good one decides, else 0.",
    )
    meter.create_observable_gauge(
        "portcullis.policy.revision",
        [
            lambda _: [
                Observation(1, {"commit": policy.engine.revision.commit, "digest": policy.engine.revision.digest})
            ]
        ],
        description="The policy revision in force, as labels.",
    )
    meter.create_observable_counter(
        "portcullis.identity.changes",
        one(lambda: services.sync.applied),
        description="Changes of identities that took effect here: revocations, pushed accounts, signing keys.",
    )
    meter.create_observable_counter(
        "portcullis.identity.change.delay",
        [lambda _: [Observation(services.sync.delay_s)]],
        unit="s",
        description="Seconds from each change being written to its effect here, streams cut included, all together.",
    )
    meter.create_observable_gauge(
        "portcullis.identity.change.delay.last",
        [lambda _: [Observation(services.sync.last_delay_s)]],
        unit="s",
        description="The same of the newest change alone.",
    )
    meter.create_observable_gauge(
        "portcullis.identity.current",
        one(lambda: int(services.federation.suspended is None)),
        description="1 while it is known who was revoked, else 0: nobody is let in then.",
    )
    meter.create_observable_counter(
        "portcullis.streams.cut",
        one(lambda: services.open_exchanges.cut_count),
        description="Forwarded requests that were ended because their caller may no longer do them.",
    )
    meter.create_observable_gauge(
        "portcullis.streams.open",
        one(lambda: len(services.open_exchanges)),
        description="Requests that are being forwarded now.",
    )
    meter.create_observable_gauge(
        "portcullis.provider.ready",
        [lambda _: [Observation(int(s.ready), {"provider": s.name}) for s in services.federation.status()]],
        description="1 while a provider's keys are known, else 0.",
    )
