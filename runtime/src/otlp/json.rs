//! Requests as JSON, in protobuf's mapping. <https://protobuf.dev/programming-guides/json/>

mod words;

use serde::Serialize;
use serde_json::{Error, Value, value};
use words::Words;

/// The request's text. serde writes `null` for what is not there and for what is no finite number; the
/// Collector takes neither for a number, and refuses the whole request.
pub(super) fn written(request: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut value = request.serialize(Words(value::Serializer))?;
    leave_out_nulls(&mut value);
    serde_json::to_vec(&value)
}

fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(leave_out_nulls);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_proto::tonic::common::v1::AnyValue;
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
    use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};

    fn text(request: &impl Serialize) -> String {
        String::from_utf8(written(request).unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_there_is_not_written_and_what_is_no_number_is_a_word() {
        let histogram = HistogramDataPoint { sum: Some(0.5), ..HistogramDataPoint::default() };
        let shown = text(&histogram);
        assert!(shown.contains("\"sum\":0.5") && !shown.contains("null"), "{shown}");
        for (number, word) in
            [(f64::NAN, "NaN"), (f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")]
        {
            let value = Some(Number::AsDouble(number));
            let shown = text(&NumberDataPoint { value, ..NumberDataPoint::default() });
            assert!(shown.contains(&format!("\"asDouble\":\"{word}\"")), "{shown}");
            let shown = text(&vec![AnyValue { value: Some(Any::DoubleValue(number)) }]);
            assert_eq!(shown, format!("[{{\"doubleValue\":\"{word}\"}}]"));
            let sum = Some(number);
            let shown = text(&HistogramDataPoint { sum, ..HistogramDataPoint::default() });
            assert!(shown.contains(&format!("\"sum\":\"{word}\"")), "{shown}");
        }
    }
}
