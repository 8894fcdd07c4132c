"""Tracing as the standard variables ask for it: OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT and their kin.

Everything but the choice of the exporter is read by the SDK itself: sampler, limits, resource, batches, addresses,
headers, timeouts. https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from opentelemetry.trace import NoOpTracer

from shared.settings import SettingsError
from shared.tracing import Tracing

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORTER = "OTEL_TRACES_EXPORTER"
ADDRESSES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")

GROUP = "opentelemetry_traces_exporter"
"""Where packages of exporters announce themselves."""

OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def open_tracing(service: str) -> Tracing | None:
    """Tracing, or None where nothing asks for it; `service` is its name unless the environment has another.

    Raises `SettingsError` where the exporter that is asked for is not installed.
    """
    names = _wanted()
    if not names:
        return None
    # A tenth of a second, and memory, that only traces are worth.
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    if isinstance(provider.get_tracer("dibs"), NoOpTracer):  # OTEL_SDK_DISABLED
        return None
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    return Tracing(provider)


def _wanted() -> list[str]:
    """The exporters. Off by default, unlike the SDK, which would send to localhost."""
    chosen = os.environ.get(EXPORTER) or ("otlp" if _first(ADDRESSES) else "none")
    names = (name.strip().lower() for name in chosen.split(","))
    return [name for name in names if name not in {"", "none"}]


def _first(variables: tuple[str, ...]) -> str | None:
    return next((value for name in variables if (value := os.environ.get(name))), None)


def _exporter(name: str) -> "SpanExporter":
    if name == "otlp":
        protocol = _first(PROTOCOLS) or "http/protobuf"
        name = OTLP.get(protocol, protocol)
    found = [point.load() for point in entry_points(group=GROUP, name=name)]
    if not found:
        raise SettingsError(f"{EXPORTER}: no package of an exporter {name} is installed")
    exporter: SpanExporter = found[0]()
    return exporter


def _resource(service: str) -> "Resource":
    """As the environment says, but for a better name than "unknown_service"."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415  # as above

    said = Resource.create()
    if str(said.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return said.merge(Resource({SERVICE_NAME: service}))
    return said
