"""Spans and metrics of operations, by OpenTelemetry; `telemetry` is the public module."""
