"""Tracing as the standard variables ask for it: OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_ENDPOINT and their kin.

Everything but the choice of the exporter is read by the SDK itself: sampler, limits, resource, batches, addresses,
headers, timeouts. https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

import os
from importlib.metadata import entry_points

from opentelemetry.environment_variables import OTEL_TRACES_EXPORTER
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import NoOpTracer

from shared.settings import SettingsError
from shared.tracing import Tracing

GROUP = "opentelemetry_traces_exporter"
"""Where packages of exporters announce themselves."""

OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}


def open_tracing(service: str) -> Tracing | None:
    """Tracing, or None where nothing asks for it; `service` is its name unless the environment has another.

    Raises `SettingsError` where the exporter that is asked for is not installed.
    """
    names = _exporters()
    if not names:
        return None
    provider = TracerProvider(resource=_resource(service), shutdown_on_exit=False)
    if isinstance(provider.get_tracer("dibs"), NoOpTracer):  # OTEL_SDK_DISABLED
        return None
    for name in names:
        provider.add_span_processor(BatchSpanProcessor(_exporter(name)))
    return Tracing(provider)


def _exporters() -> list[str]:
    """Off by default, unlike the SDK, which would send to localhost."""
    has_address = any(
        os.environ.get(name) for name in (OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
    )
    wanted = os.environ.get(OTEL_TRACES_EXPORTER) or ("otlp" if has_address else "none")
    return [name.strip() for name in wanted.split(",") if name.strip().lower() not in {"", "none"}]


def _exporter(name: str) -> SpanExporter:
    wanted = name
    if name == "otlp":
        protocol = os.environ.get(OTEL_EXPORTER_OTLP_TRACES_PROTOCOL) or os.environ.get(OTEL_EXPORTER_OTLP_PROTOCOL)
        wanted = OTLP.get(protocol or "http/protobuf", protocol or "")
    found = [point.load() for point in entry_points(group=GROUP, name=wanted)]
    if not found:
        raise SettingsError(f"{OTEL_TRACES_EXPORTER}: no exporter {wanted} is installed")
    made = found[0]()
    assert isinstance(made, SpanExporter)
    return made


def _resource(service: str) -> Resource:
    """As the environment says, but for a better name than "unknown_service"."""
    said = Resource.create()
    if str(said.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return said.merge(Resource({SERVICE_NAME: service}))
    return said
