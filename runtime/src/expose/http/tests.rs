use super::*;
use std::io::{Read, Write};
use std::net::TcpStream as Socket;
use std::sync::atomic::AtomicUsize;

const OPEN: &str = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1";

const PROTOBUF: &str = "application/vnd.google.protobuf;\
                        proto=io.prometheus.client.MetricFamily;encoding=delimited";

fn pages() -> Pages {
    let text = |text: &'static str| -> Box<dyn Fn() -> String + Send + Sync> {
        Box::new(move || text.to_owned())
    };
    Pages { health: text("{\"status\":\"ok\"}"), in_flight: text("1 call\n") }
}

fn start(before_scrape: impl Fn() + Send + Sync + 'static) -> AdminListener {
    start_at("127.0.0.1:0", before_scrape).unwrap()
}

fn start_at(
    address: &str,
    before_scrape: impl Fn() + Send + Sync + 'static,
) -> Result<AdminListener, ListenError> {
    let identity = Identity { service_name: "shop".into(), ..Identity::default() };
    AdminListener::start(address.parse().unwrap(), identity, pages(), before_scrape)
}

fn connect(listener: &AdminListener) -> Socket {
    let socket = Socket::connect(listener.local_addr()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn ask(listener: &AdminListener, head: &str) -> String {
    let mut socket = connect(listener);
    let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// Enough series that a page does not fit into the buffers of a socket.
fn fill(name: &str) {
    for user in 0..1_500 {
        let labels = [("user", user.to_string()), ("padding", "x".repeat(50))];
        let key = metrics::Key::from_parts(name.to_owned(), &labels);
        metrics::HistogramFn::record(&*Store::global().histogram(&key).unwrap(), 1.0);
    }
}

#[test]
fn each_format_is_served_to_those_who_ask_for_it() {
    let scrapes = Arc::new(AtomicUsize::new(0));
    let hook = scrapes.clone();
    let listener = start(move || {
        hook.fetch_add(1, Relaxed);
    });
    let open = ask(&listener, &format!("GET /metrics?x=1 HTTP/1.1\r\nAccept: {OPEN}"));
    assert!(open.starts_with("HTTP/1.1 200 OK\r\n"), "{open}");
    assert!(
        open.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(
        open.contains("service_name=\"shop\",version=\"\"} 1.0\n")
            && open.ends_with("# EOF\n\r\n0\r\n\r\n")
    );
    for accept in ["text/plain", "*/*"] {
        let plain = ask(&listener, &format!("GET /metrics HTTP/1.1\r\nAccept: {accept}"));
        assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8"));
        assert!(plain.contains("build_info{") && !plain.contains("# EOF"));
    }
    assert_eq!(scrapes.load(Relaxed), 3, "the hook runs once before each page");
}

/// The head of an answer, and its body, out of its chunks if it has some.
fn ask_for_bytes(listener: &AdminListener, head: &str) -> (String, Vec<u8>) {
    let mut socket = connect(listener);
    let request = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let end = |bytes: &[u8], of: &[u8]| bytes.windows(of.len()).position(|at| at == of).unwrap();
    let split = end(&answer, b"\r\n\r\n") + 4;
    let (head, mut rest) = answer.split_at(split);
    let head = String::from_utf8(head.to_vec()).unwrap();
    if head.contains("content-length: ") {
        return (head, rest.to_vec());
    }
    let mut body = Vec::new();
    while !rest.is_empty() {
        let line = end(rest, b"\r\n");
        let length = std::str::from_utf8(&rest[..line]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        body.extend_from_slice(&rest[line + 2..][..length]);
        rest = &rest[line + 2 + length + 2..];
    }
    (head, body)
}

#[test]
fn a_page_is_packed_for_those_who_ask_for_it() {
    fill("http_tests_packed");
    let listener = start(|| ());
    let large = |page: &str| -> Vec<_> {
        page.lines().filter(|line| line.contains("http_tests_packed")).map(str::to_owned).collect()
    };
    for accept in [OPEN, "text/plain", PROTOBUF] {
        let head = format!("GET /metrics HTTP/1.1\r\nAccept: {accept}");
        let (_, bare) = ask_for_bytes(&listener, &head);
        let (head, packed) = ask_for_bytes(&listener, &format!("{head}\r\nAccept-Encoding: gzip"));
        assert!(head.contains("content-encoding: gzip\r\n"), "{head}");
        assert!(packed.len() * 5 < bare.len(), "{} of {}", packed.len(), bare.len());
        let mut page = Vec::new();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut page).unwrap();
        if accept != PROTOBUF {
            let [bare, page] = [bare, page].map(|page| String::from_utf8(page).unwrap());
            assert!(large(&page).len() > 1_500 && large(&page) == large(&bare), "{accept}");
            assert_eq!(page.ends_with("# EOF\n"), accept == OPEN);
        }
    }
    let health = ask(&listener, "GET /health HTTP/1.1\r\nAccept-Encoding: gzip");
    assert!(health.ends_with("{\"status\":\"ok\"}"), "{health}");
    let head = ask(&listener, "HEAD /metrics HTTP/1.1\r\nAccept-Encoding: gzip");
    assert!(head.contains("content-encoding: gzip\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn other_paths_and_methods_are_told_what_works() {
    let listener = start(|| ());
    let answer = ask(&listener, "GET / HTTP/1.1");
    assert!(answer.starts_with("HTTP/1.1 404 ") && answer.contains("/metrics"), "{answer}");
    let answer = ask(&listener, "POST /metrics HTTP/1.1\r\nContent-Length: 0");
    assert!(answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET, HEAD"), "{answer}");
    let answer = ask(&listener, &format!("HEAD /metrics HTTP/1.1\r\nAccept: {OPEN}"));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert!(answer.contains("openmetrics-text"), "{answer}");
}

#[test]
fn a_connection_serves_more_than_one_request() {
    let listener = start(|| ());
    let mut socket = connect(&listener);
    for _ in 0..3 {
        socket.write_all(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"/in-flight\n") {
            let mut piece = [0; 1024];
            let read = socket.read(&mut piece).unwrap();
            assert!(read > 0);
            answer.extend(&piece[..read]);
        }
    }
}

#[test]
fn who_closes_its_side_after_asking_is_answered() {
    let listener = start(|| ());
    let mut socket = connect(&listener);
    socket.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn an_oversized_head_is_refused() {
    let listener = start(|| ());
    let mut socket = connect(&listener);
    let head = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * HEAD));
    // The listener may close before it has read all of it.
    let _ = socket.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many: String = (0..HEADERS + 1).map(|at| format!("\r\nX-{at}: y")).collect();
    assert!(ask(&listener, &format!("GET /metrics HTTP/1.1{many}")).starts_with("HTTP/1.1 431 "));
    assert!(ask(&listener, "GET /metrics HTTP/1.1").starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_slow_reader_does_not_hold_others_up() {
    fill("http_tests_large");
    let listener = start(|| ());
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let mut socket = connect(&listener);
            socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            socket
        })
        .collect();
    let page = ask(&listener, "GET /metrics HTTP/1.1");
    assert!(page.len() > 4 << 20, "the page fits into no buffer: {}", page.len());
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("http_tests_large_count"));
    for mut socket in slow {
        let mut head = [0; 15];
        socket.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK", "the slow are served too");
    }
}

#[test]
fn a_hundred_idle_connections_leave_room_for_a_scrape() {
    let listener = start(|| ());
    let mut idle: Vec<_> = (0..100).map(|_| connect(&listener)).collect();
    for _ in 0..3 {
        assert!(ask(&listener, "GET /metrics HTTP/1.1").starts_with("HTTP/1.1 200 "));
    }
    // The oldest went, the newest stayed.
    assert_eq!(idle[0].read(&mut [0]).unwrap_or(0), 0);
    let newest = &mut idle[99];
    newest.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    newest.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 404");
}

#[test]
fn a_hook_that_hangs_or_panics_holds_nobody_up() {
    let first = AtomicUsize::new(0);
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let listener = start(move || match first.fetch_add(1, Relaxed) {
        0 => {
            let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(20));
        }
        1 => panic!("a hook's panic, on purpose"),
        _ => (),
    });
    let mut hung = connect(&listener);
    hung.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    // Until the hook hangs.
    thread::sleep(Duration::from_millis(200));
    for _ in 0..2 {
        let page = ask(&listener, "GET /metrics HTTP/1.1");
        assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("build_info"), "{page}");
    }
    go.send(()).unwrap();
    let mut page = String::new();
    hung.read_to_string(&mut page).unwrap();
    assert!(page.starts_with("HTTP/1.1 200 "));
}

#[test]
fn it_stops_when_told_and_when_dropped() {
    let listener = start(|| ());
    let address = listener.local_addr();
    let mut open = connect(&listener);
    assert!(listener.shutdown(Duration::from_secs(10)));
    assert_eq!(open.read(&mut [0]).unwrap_or(0), 0);
    assert!(Socket::connect(address).is_err());

    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let listener = start(move || {
        let _ = wait.lock().unwrap().recv_timeout(Duration::from_secs(20));
    });
    let mut hung = connect(&listener);
    hung.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    thread::sleep(Duration::from_millis(100));
    let before = Instant::now();
    drop(listener);
    assert!(before.elapsed() < Duration::from_secs(5), "a hook that hangs keeps nobody");
    drop(go);
}

#[test]
fn an_address_in_use_is_told_with_the_remedy() {
    let listener = start(|| ());
    let address = listener.local_addr();
    let error = AdminListener::start(address, Identity::default(), pages(), || ()).unwrap_err();
    let told = error.to_string();
    assert!(
        told.starts_with(&format!(
            "address {address} is in use: set OTEL_EXPORTER_PROMETHEUS_PORT or "
        )),
        "{told}"
    );
}

#[test]
fn health_and_calls_in_flight_have_pages_of_their_own() {
    let listener = start(|| ());
    let health = ask(&listener, "GET /health HTTP/1.1");
    assert!(health.contains("content-type: application/json"), "{health}");
    assert!(health.ends_with("{\"status\":\"ok\"}"), "{health}");
    assert!(ask(&listener, "GET /in-flight HTTP/1.1").ends_with("1 call\n"));
    assert!(ask(&listener, "POST /health HTTP/1.1\r\nContent-Length: 0").contains(" 405 "));
    let body = "POST /metrics HTTP/1.1\r\nContent-Length: 100000000";
    assert!(ask(&listener, body).starts_with("HTTP/1.1 413 "));
}

#[test]
fn on_a_loopback_address_another_hosts_name_is_refused() {
    let listener = start(|| ());
    let status_at = |listener: &AdminListener, host: &str| {
        let mut socket = connect(listener);
        let request = format!("GET /health HTTP/1.1\r\nConnection: close\r\n{host}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    let status = |host: &str| status_at(&listener, host);
    for host in ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "[::1]:9464", "a.localhost"] {
        assert_eq!(status(&format!("Host: {host}\r\n")), "200", "{host}");
    }
    for host in ["evil.example", "evil.example:9464", "localhost.evil.example", "x", "", "a@b c"] {
        assert_ne!(status(&format!("Host: {host}\r\n")), "200", "{host}");
    }
    assert_ne!(status("Host: localhost\r\nHost: evil.example\r\n"), "200");
    // Where there is IPv6.
    if let Ok(mapped) = start_at("[::ffff:127.0.0.1]:0", || ()) {
        assert_eq!(status_at(&mapped, "Host: localhost\r\n"), "200");
        assert_eq!(status_at(&mapped, "Host: evil.example\r\n"), "421");
    }
}

#[test]
fn a_hundred_slow_clients_do_not_keep_a_scrape_out() {
    fill("http_tests_large");
    let listener = start(|| ());
    // Half of them never finish asking, half never take their answer.
    let slow: Vec<Socket> = (0..100)
        .map(|client| {
            let mut socket = connect(&listener);
            let request: &[u8] = match client % 2 {
                0 => b"GET /metrics HTTP/1.1\r\nHost: loc",
                _ => b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
            };
            // One that was sent away meanwhile cannot write.
            let _ = socket.write_all(request);
            socket
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut socket = connect(&listener);
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        let asked = socket.write_all(request.as_bytes());
        if asked.and_then(|()| socket.read_to_string(&mut answer)).is_ok()
            && answer.starts_with("HTTP/1.1 200")
        {
            break;
        }
        // All were being answered a moment ago; the slow ones give way.
        assert!(Instant::now() < deadline, "no scrape among slow clients");
        thread::sleep(Duration::from_millis(100));
    }
    drop(slow);
}
