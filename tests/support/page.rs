//! Just enough HTTP to read a page from a loopback server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The body of `GET path`, if it is answered with status 200 within `timeout`.
///
/// # Errors
/// What went wrong, or what the server said instead.
pub fn get(address: SocketAddr, path: &str, timeout: Duration) -> Result<String, String> {
    let answer = ask(address, path, timeout).map_err(|error| error.to_string())?;
    // Without chunks, as HTTP 1.0 knows none.
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status == "200" { Ok(body.to_owned()) } else { Err(answer) }
}

fn ask(address: SocketAddr, path: &str, timeout: Duration) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    let accept = "Accept: application/openmetrics-text, application/json";
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{accept}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
