//! Requests as JSON, in protobuf's mapping. <https://protobuf.dev/programming-guides/json/>

use serde::Serialize;
use serde_json::{Error, Value};

/// What stands where a number may: what is none is a word there.
const NUMBERS: [&str; 2] = ["asDouble", "doubleValue"];

/// The request's text. serde writes `null` for what is not there and for what is no finite number; the
/// Collector takes neither for a number, and refuses the whole request.
pub(super) fn written(request: &impl Serialize) -> Result<Vec<u8>, Error> {
    let mut value = serde_json::to_value(request)?;
    settle(&mut value);
    serde_json::to_vec(&value)
}

fn settle(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => {
            fields.retain(|name, value| {
                if value.is_null() && NUMBERS.contains(&name.as_str()) {
                    // Which of the infinities it was is gone by now.
                    *value = Value::from("NaN");
                }
                !value.is_null()
            });
            fields.values_mut().for_each(settle);
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
        for number in [f64::NAN, f64::INFINITY] {
            let value = Some(Number::AsDouble(number));
            let shown = text(&NumberDataPoint { value, ..NumberDataPoint::default() });
            assert!(shown.contains("\"asDouble\":\"NaN\""), "{shown}");
            let shown = text(&vec![AnyValue { value: Some(Any::DoubleValue(number)) }]);
            assert_eq!(shown, "[{\"doubleValue\":\"NaN\"}]");
        }
    }
}
