//! The smallest question to each database that only a ready one answers rightly.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(2);

fn connect(port: u16) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), LIMIT).ok()?;
    stream.set_read_timeout(Some(LIMIT)).ok()?;
    stream.set_write_timeout(Some(LIMIT)).ok()?;
    Some(stream)
}

/// PostgreSQL asks a login for its password ('R') when it is ready, and refuses ('E') while it starts.
pub(super) fn postgres(port: u16, user: &str, database: &str) -> bool {
    let ask = || {
        let mut stream = connect(port)?;
        let parameters = format!("user\0{user}\0database\0{database}\0\0");
        let length = u32::try_from(parameters.len() + 8).ok()?;
        let mut message = length.to_be_bytes().to_vec();
        message.extend(196_608_u32.to_be_bytes()); // protocol 3.0
        message.extend(parameters.as_bytes());
        stream.write_all(&message).ok()?;
        let mut first = [0];
        stream.read_exact(&mut first).ok()?;
        Some(first[0] == b'R')
    };
    ask().unwrap_or(false)
}

/// MariaDB greets with protocol 10 when it has run its init file and takes connections.
pub(super) fn mysql(port: u16) -> bool {
    let ask = || {
        let mut head = [0; 5];
        connect(port)?.read_exact(&mut head).ok()?;
        Some(head[4] == 10)
    };
    ask().unwrap_or(false)
}

/// Any HTTP answer will do.
pub(super) fn http(port: u16) -> bool {
    let ask = || {
        let mut stream = connect(port)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut head = [0; 4];
        stream.read_exact(&mut head).ok()?;
        Some(&head == b"HTTP")
    };
    ask().unwrap_or(false)
}

/// Sends one command to Redis. The answer is a simple string, an error with its '-', or a bulk string.
pub(super) fn redis(port: u16, command: &[&str]) -> Option<String> {
    let mut stream = connect(port)?;
    let mut message = format!("*{}\r\n", command.len());
    for word in command {
        message.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(message.as_bytes()).ok()?;
    let head = line(&mut stream)?;
    match head.split_at_checked(1)? {
        ("$", length) => {
            let mut body = vec![0; length.parse().ok()?];
            stream.read_exact(&mut body).ok()?;
            String::from_utf8(body).ok()
        }
        ("+", text) => Some(text.to_owned()),
        _ => Some(head),
    }
}

fn line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") && line.len() < 4096 {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        line.push(byte[0]);
    }
    line.truncate(line.len().saturating_sub(2));
    String::from_utf8(line).ok()
}
