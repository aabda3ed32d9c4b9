//! The three signals: their requests, where these go, and how an answer says what was rejected.

use crate::config::otlp::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde::Serialize;

/// A request of one signal.
pub(crate) trait Request: Message + Serialize + 'static {
    /// What answers it.
    type Response: Message + Default + 'static;

    /// What it is of.
    const SIGNAL: Signal;

    /// What an answer in JSON calls the number of items that were rejected, as it should and as it may.
    const REJECTED: [&'static str; 2];

    /// The method's path over gRPC.
    const METHOD: &'static str;

    /// How many items were rejected, and why; `None` if the answer says nothing about that.
    fn partial(response: Self::Response) -> Option<(i64, String)>;
}

impl Request for ExportTraceServiceRequest {
    type Response = ExportTraceServiceResponse;
    const SIGNAL: Signal = Signal::Traces;
    const REJECTED: [&'static str; 2] = ["rejectedSpans", "rejected_spans"];
    const METHOD: &'static str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

    fn partial(response: Self::Response) -> Option<(i64, String)> {
        response.partial_success.map(|it| (it.rejected_spans, it.error_message))
    }
}

impl Request for ExportLogsServiceRequest {
    type Response = ExportLogsServiceResponse;
    const SIGNAL: Signal = Signal::Logs;
    const REJECTED: [&'static str; 2] = ["rejectedLogRecords", "rejected_log_records"];
    const METHOD: &'static str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

    fn partial(response: Self::Response) -> Option<(i64, String)> {
        response.partial_success.map(|it| (it.rejected_log_records, it.error_message))
    }
}

impl Request for ExportMetricsServiceRequest {
    type Response = ExportMetricsServiceResponse;
    const SIGNAL: Signal = Signal::Metrics;
    const REJECTED: [&'static str; 2] = ["rejectedDataPoints", "rejected_data_points"];
    const METHOD: &'static str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

    fn partial(response: Self::Response) -> Option<(i64, String)> {
        response.partial_success.map(|it| (it.rejected_data_points, it.error_message))
    }
}
