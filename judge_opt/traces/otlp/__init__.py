"""OpenTelemetry's wire format (OTLP): send traces to any OpenTelemetry backend, and receive from any SDK.

    export_otlp(store.iter_traces(), "http://127.0.0.1:4318")

    with OTLPReceiver(store) as receiver:
        print(receiver.endpoint)        # what OTEL_EXPORTER_OTLP_ENDPOINT is set to
        receiver.wait()

Over HTTP, as protobuf or JSON. Protobuf needs the extra: pip install 'judge-opt[otel]'.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.traces.otlp.export import ExportReport, export_otlp
    from judge_opt.traces.otlp.receiver import OTLPReceiver

__all__ = ["ExportReport", "OTLPReceiver", "export_otlp"]

_HOMES = {"ExportReport": "export", "OTLPReceiver": "receiver", "export_otlp": "export"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
