//! What stands between a service and its receiver, speaks TLS, and does its worst when told.

use crate::Transport;
use crate::certificate::{Authority, Certificate, server};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// What happens on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Connections are refused, and those that were open are closed.
    Refused,
    /// Connections are accepted, and nothing is ever answered.
    Silent,
    /// Answers come after thirty seconds.
    Late,
    /// The connection is reset in the middle of a request's body.
    ResetMidBody,
    /// Bytes that mean nothing come back.
    Garbage,
    /// The certificate is of an authority that the service does not know.
    WrongAuthority,
}

/// A TLS server on a loopback port of its own, which hands on what it is sent.
pub struct Front {
    address: SocketAddr,
    authority: Authority,
    fault: watch::Sender<Fault>,
    /// Connections accepted so far.
    accepted: Arc<AtomicUsize>,
    /// The runtime ends when this is dropped.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// One side of TLS: the right certificate, and the wrong one.
#[derive(Clone)]
struct Faces {
    right: Arc<ServerConfig>,
    wrong: Arc<ServerConfig>,
}

impl Front {
    /// Before `upstream`, an address such as `127.0.0.1:4317`.
    pub fn start(upstream: SocketAddr, transport: Transport) -> Self {
        let authority = Authority::new();
        let own = authority.sign("localhost");
        Front::showing(upstream, transport, authority, &own, None)
    }

    /// The same, with a certificate of one's own, for clients that have one of `clients`.
    pub fn showing(
        upstream: SocketAddr,
        transport: Transport,
        authority: Authority,
        own: &Certificate,
        clients: Option<&Authority>,
    ) -> Self {
        let protocol = match transport {
            Transport::Http => "http/1.1",
            Transport::Grpc => "h2",
        };
        let faces = Faces {
            right: server(own, protocol, clients),
            wrong: server(&Authority::new().sign("localhost"), protocol, None),
        };
        let port = TcpSocket::new_v4().expect("a socket");
        port.set_reuseaddr(true).expect("an option");
        port.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = port.local_addr().expect("an address");
        let (fault, faults) = watch::channel(Fault::None);
        let (_stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let (ready, is_ready) = mpsc::channel();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&accepted);
        std::thread::Builder::new()
            .name("front".into())
            .spawn(move || {
                // Bound for good and never listening: nobody else gets it while it is refused.
                let _port = port;
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(async {
                    tokio::select! {
                        () = serve(address, upstream, faces, faults, ready, counted) => {}
                        _ = &mut stopped => {}
                    }
                });
            })
            .expect("a thread");
        is_ready.recv().expect("the front starts");
        Front { address, authority, fault, accepted, _stop }
    }

    /// Where it is, by a name.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Who signed its certificate.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Changes what happens, also to open connections.
    pub fn behave(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Relaxed)
    }
}

async fn serve(
    address: SocketAddr,
    upstream: SocketAddr,
    faces: Faces,
    mut faults: watch::Receiver<Fault>,
    ready: mpsc::Sender<()>,
    accepted: Arc<AtomicUsize>,
) {
    loop {
        let listener = TcpListener::bind(address).await.expect("the port");
        let _ = ready.send(());
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                stream = listener.accept() => {
                    let Ok((stream, _)) = stream else { continue };
                    accepted.fetch_add(1, Relaxed);
                    connections.spawn(one(stream, upstream, faces.clone(), faults.clone()));
                }
                _ = connections.join_next(), if !connections.is_empty() => {}
                changed = faults.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if *faults.borrow_and_update() == Fault::Refused {
                        break;
                    }
                }
            }
        }
        // The listener and all connections go.
        drop((listener, connections));
        while *faults.borrow_and_update() == Fault::Refused {
            if faults.changed().await.is_err() {
                return;
            }
        }
    }
}

/// A connection resets when it is dropped.
fn resets(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn one(
    stream: TcpStream,
    upstream: SocketAddr,
    faces: Faces,
    mut faults: watch::Receiver<Fault>,
) {
    let fault = *faults.borrow_and_update();
    if fault == Fault::Silent {
        // For as long as the client waits.
        let mut stream = stream;
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        return;
    }
    let face = if fault == Fault::WrongAuthority { faces.wrong } else { faces.right };
    let Ok(client) = TlsAcceptor::from(face).accept(stream).await else { return };
    let Ok(receiver) = TcpStream::connect(upstream).await else { return };
    let (mut client_reads, mut client_writes) = tokio::io::split(client);
    let (mut receiver_reads, mut receiver_writes) = receiver.into_split();
    let mut going = [0; 16 * 1024];
    let mut coming = [0; 16 * 1024];
    loop {
        tokio::select! {
            read = client_reads.read(&mut going) => {
                let Ok(read @ 1..) = read else { return };
                let fault = *faults.borrow();
                match fault {
                    // Swallowed: nobody ever answers.
                    Fault::Silent => continue,
                    Fault::ResetMidBody => {
                        let _ = receiver_writes.write_all(&going[..read / 2]).await;
                        let client = client_reads.unsplit(client_writes);
                        resets(client.get_ref().0);
                        return;
                    }
                    Fault::Garbage => {
                        let garbage: Vec<u8> = (0..4_096_u32).map(|it| (it * 31 % 251) as u8).collect();
                        let _ = client_writes.write_all(&garbage).await;
                        let _ = client_writes.shutdown().await;
                        return;
                    }
                    // A new connection is made, to whoever is there then.
                    Fault::WrongAuthority | Fault::Refused => return,
                    Fault::None | Fault::Late => {}
                }
                if receiver_writes.write_all(&going[..read]).await.is_err() {
                    return;
                }
            }
            read = receiver_reads.read(&mut coming) => {
                let Ok(read @ 1..) = read else { return };
                let fault = *faults.borrow();
                if fault == Fault::Late {
                    tokio::time::sleep(Duration::from_secs(30)).await;
                }
                if fault == Fault::Silent {
                    continue;
                }
                if client_writes.write_all(&coming[..read]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Certificates on disk, for variables that name files; gone with the value.
pub struct Files(std::path::PathBuf);

impl Files {
    /// A directory of its own.
    pub fn new() -> Self {
        static NUMBER: Mutex<u32> = Mutex::new(0);
        let mut number = NUMBER.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        let name = format!("redspan-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        Files(directory)
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    }
}

impl Default for Files {
    fn default() -> Self {
        Files::new()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
