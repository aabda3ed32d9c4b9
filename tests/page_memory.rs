//! A page is never whole in memory: it is written as its reader takes it, and what is kept for the next one is
//! little.

use redspan::instrumented;
use redspan_tests::Discard;
use redspan_tests::counting::{self, Counting};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[instrumented]
fn measured(histograms: &[metrics::Histogram]) {
    histograms.iter().for_each(|histogram| histogram.record(0.2));
}

#[derive(Clone, Copy)]
struct Scraped {
    page: u64,
    exemplars: usize,
    /// How much more the process held at the worst moment.
    grown: u64,
}

/// Reads `/metrics` into memory that is used again; a slow reader leaves most of it to whoever sends.
fn scrape(address: std::net::SocketAddr, buffer: &mut [u8], slow: bool, encoding: &str) -> Scraped {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let (mut page, mut exemplars) = (0, 0);
    let before = counting::held_at_most_from_now();
    let ask = format!(
        "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         accept: application/openmetrics-text\r\naccept-encoding: {encoding}\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).expect("it reads");
    if slow {
        std::thread::sleep(Duration::from_millis(300));
    }
    loop {
        let read = stream.read(buffer).expect("it answers");
        if read == 0 {
            break;
        }
        exemplars += buffer[..read].windows(3).filter(|three| three == b" # ").count();
        page += read as u64;
    }
    Scraped { page, exemplars, grown: counting::held_at_most().saturating_sub(before) }
}

#[test]
fn a_page_of_many_histograms_grows_memory_by_less_than_its_size() {
    let series = if std::env::var("REDSPAN_LONG").is_ok() { 20_000 } else { 2_000 };
    let telemetry = redspan::builder()
        .spans_to(Discard)
        .series_limit("wait*", series)
        .metrics_at(([127, 0, 0, 1], 0).into())
        .install()
        .expect("installed");
    let histograms: Vec<_> =
        (0..series).map(|user| metrics::histogram!("wait", "user" => user.to_string())).collect();
    histograms.chunks(8).for_each(measured);
    assert!(telemetry.flush(Duration::from_secs(20)));
    let address = telemetry.metrics_address().expect("it listens");
    let mut buffer = vec![0; 16 * 1024];

    let first = scrape(address, &mut buffer, false, "identity");
    assert!(first.page > 1_000 * series as u64, "{} bytes of {series} histograms", first.page);
    assert!(first.exemplars > series, "{} exemplars of {series}", first.exemplars);
    // With what is kept for the pages that follow: which series there are, in which order.
    assert!(first.grown < first.page / 2, "{} grew by {}", first.page, first.grown);
    for slow in [false, true] {
        let later = scrape(address, &mut buffer, slow, "identity");
        assert!(later.page >= first.page - first.page / 100, "{} of {}", later.page, first.page);
        // Some pieces are on their way, and this program's own numbers are read before.
        assert!(later.grown < 1024 * 1024, "{} grew by {}", later.page, later.grown);
        println!("{} bytes, grown by {} at first and {}", later.page, first.grown, later.grown);
        let packed = scrape(address, &mut buffer, slow, "gzip");
        assert!(packed.page < later.page / 5, "{} of {}", packed.page, later.page);
        assert!(packed.grown < 1024 * 1024, "{} grew by {}", packed.page, packed.grown);
        println!("{} bytes packed, grown by {}", packed.page, packed.grown);
    }
}
