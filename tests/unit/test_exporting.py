"""Tracing is on where the standard variables ask for it, and off everywhere else."""

import os

import pytest
from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.sdk.trace.sampling import ParentBased

from shared.exporting import open_tracing
from shared.settings import SettingsError

NOWHERE = "http://127.0.0.1:9"


pytestmark = pytest.mark.usefixtures("nothing_is_set")


@pytest.fixture
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE},
    ],
)
def test_off(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert open_tracing("dibs") is None


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_EXPORTER_OTLP_ENDPOINT": NOWHERE},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{NOWHERE}/v1/traces"},
        {"OTEL_TRACES_EXPORTER": "console, otlp"},
    ],
)
def test_on(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tracing = open_tracing("dibs-api")
    assert tracing is not None
    assert tracing.provider.resource.attributes[SERVICE_NAME] == "dibs-api"
    tracing.provider.shutdown()


def test_the_sdk_reads_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
    tracing = open_tracing("dibs")
    assert tracing is not None
    assert tracing.provider.resource.attributes[SERVICE_NAME] == "shop"
    assert isinstance(tracing.provider.sampler, ParentBased)
    assert "0.25" in tracing.provider.sampler.get_description()  # type: ignore[no-untyped-call]  # the SDK's
    tracing.provider.shutdown()


def test_an_exporter_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(SettingsError, match="OTEL_TRACES_EXPORTER: no package of an exporter otlp_proto_grpc"):
        open_tracing("dibs")
