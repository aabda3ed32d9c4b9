//! Which format a scraper wants.

use crate::expose::openmetrics::Format;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING};

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Text(Format),
    /// Prometheus' protobuf, in which it reads native histograms.
    Protobuf,
}

/// Protobuf if it is named and liked better than all texts; OpenMetrics if it is named and liked no
/// less than plain text; plain text in every other case, since everything reads it.
pub(super) fn wanted(headers: &HeaderMap) -> Wanted {
    let (mut open, mut protobuf) = (0.0f32, 0.0f32);
    // How well plain text is liked, by how exactly it was named: the most exact one counts.
    let mut plain: [Option<f32>; 3] = [None; 3];
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in values.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        let (mut families, mut delimited) = (false, false);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.trim().parse().unwrap_or(0.0f32).clamp(0.0, 1.0),
                "proto" => families = value.trim() == "io.prometheus.client.MetricFamily",
                "encoding" => delimited = value.trim() == "delimited",
                "version" => version = Some(value.trim().trim_matches('"')),
                _ => (),
            }
        }
        match media.as_str() {
            "application/openmetrics-text" => {
                // Whoever wants a later version only cannot read ours.
                if matches!(version, None | Some("1.0.0" | "0.0.1")) {
                    open = quality.max(open);
                }
            }
            // In no other form.
            "application/vnd.google.protobuf" if families && delimited => {
                protobuf = quality.max(protobuf);
            }
            "text/plain" => like(&mut plain[0], quality),
            "text/*" => like(&mut plain[1], quality),
            "*/*" => like(&mut plain[2], quality),
            _ => (),
        }
    }
    let plain = plain.into_iter().flatten().next().unwrap_or(0.0);
    match () {
        () if protobuf > open.max(plain) => Wanted::Protobuf,
        () if open > 0.0 && open >= plain => Wanted::Text(Format::OpenMetrics),
        () => Wanted::Text(Format::Text),
    }
}

/// Whether gzip is named, and liked no less than the bare page. Nobody needs it who takes "anything".
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut bare) = (0.0f32, None);
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let (name, rest) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = rest.trim().strip_prefix(['q', 'Q']).map(|rest| rest.trim_start());
        let quality = quality.and_then(|rest| rest.strip_prefix('=')).unwrap_or("1");
        let quality = quality.trim().parse().unwrap_or(0.0f32).clamp(0.0, 1.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => gzip = quality.max(gzip),
            "identity" => bare = Some(quality),
            _ => (),
        }
    }
    gzip > 0.0 && gzip >= bare.unwrap_or(0.0)
}

fn like(held: &mut Option<f32>, quality: f32) {
    *held = Some(held.map_or(quality, |held| held.max(quality)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn wanted(accept: &[&'static str]) -> Wanted {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        super::wanted(&headers)
    }

    #[test]
    fn gzip_is_for_those_who_name_it_and_like_the_bare_page_no_more() {
        for (accept, expected) in [
            (&["gzip"][..], true),
            (&["deflate, GZIP;q=0.5, br"], true),
            (&["br", "x-gzip; q=1.0"], true),
            (&["gzip;q=0.5, identity;q=0.5"], true),
            (&["gzip;q=0.5, identity"], false),
            (&["gzip;q=0"], false),
            (&["gzip;q=NaN"], false),
            (&["gzip;q=x"], false),
            (&["*"], false),
            (&["deflate, br"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in accept {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(value));
            }
            assert_eq!(takes_gzip(&headers), expected, "{accept:?}");
        }
    }

    #[test]
    fn openmetrics_is_given_to_those_who_name_it_and_like_it_no_less() {
        for accept in [
            &["application/openmetrics-text"][..],
            &["application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.5"],
            &["text/plain;q=0.2", "Application/OpenMetrics-Text; q=0.3"],
            // What Prometheus 3 sends.
            &["application/vnd.google.protobuf;q=0.7,application/openmetrics-text;version=1.0.0;\
               escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,\
               text/plain;version=1.0.0;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
        ] {
            assert_eq!(wanted(accept), Wanted::Text(Format::OpenMetrics), "{accept:?}");
        }
    }

    #[test]
    fn all_others_get_plain_text() {
        for accept in [
            &[][..],
            &["*/*"],
            &["text/html,application/xhtml+xml,*/*;q=0.8"],
            &["application/openmetrics-text;q=0.4,text/plain;q=0.5"],
            &["application/openmetrics-text;q=0.4,*/*"],
            &["application/openmetrics-text;q=0"],
            &["application/openmetrics-text;q=nonsense"],
            &["application/openmetrics-text;version=2.0.0"],
            &[";;;=,,;q"],
        ] {
            assert_eq!(wanted(accept), Wanted::Text(Format::Text), "{accept:?}");
        }
    }

    #[test]
    fn who_reads_native_histograms_gets_protobuf() {
        // What Prometheus sends when it looks for them.
        let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                      encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
                      text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(wanted(&[accept]), Wanted::Protobuf);
    }
}
