//! Proxies that change what a client sends: scripts on their way to Redis, expressions on their way to DynamoDB.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

type Edits = &'static [(&'static str, &'static str)];

/// The most bytes of one request.
const MOST_BYTES: usize = 16 << 20;

/// Which texts were found.
pub(crate) type Found = Arc<Vec<AtomicBool>>;

/// What a proxy reads and sends on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Language {
    Redis,
    Http,
}

/// Listens on a free port until this process ends; returns the port's address and what was found so far.
pub(crate) fn start(language: Language, server: &str, edits: Edits) -> io::Result<(String, Found)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let found: Found = Arc::new(edits.iter().map(|_| AtomicBool::new(false)).collect());
    let (server, seen) = (server.to_string(), Arc::clone(&found));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (server, found) = (server.clone(), Arc::clone(&seen));
            // Ends when either side hangs up.
            thread::spawn(move || carry(language, client, &server, edits, &found));
        }
    });
    Ok((address, found))
}

fn carry(language: Language, client: TcpStream, server: &str, edits: Edits, found: &Found) -> io::Result<()> {
    let mut to_server = TcpStream::connect(server)?;
    let (mut from_server, mut to_client) = (to_server.try_clone()?, client.try_clone()?);
    to_server.set_nodelay(true)?;
    to_client.set_nodelay(true)?;
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(std::net::Shutdown::Both);
    });
    let mut from_client = BufReader::new(client);
    let edit = |text: Vec<u8>| edited(text, edits, found);
    loop {
        let request = match language {
            Language::Redis => redis_command(&mut from_client, edit),
            Language::Http => http_request(&mut from_client, edit),
        };
        match request {
            Ok(bytes) => to_server.write_all(&bytes)?,
            Err(_) => return to_server.shutdown(std::net::Shutdown::Both),
        }
    }
}

fn edited(text: Vec<u8>, edits: Edits, found: &Found) -> Vec<u8> {
    let Ok(mut text) = String::from_utf8(text.clone()) else { return text };
    for ((from, to), found) in edits.iter().zip(found.iter()) {
        if text.contains(from) {
            found.store(true, Ordering::Relaxed);
            text = text.replace(from, to);
        }
    }
    text.into_bytes()
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match from.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_string()),
    }
}

fn number(text: &str) -> io::Result<usize> {
    text.parse().ok().filter(|number| *number <= MOST_BYTES).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A command is a list of texts. A script called by its hash is made unknown, so that its source is sent.
fn redis_command(from: &mut impl BufRead, edit: impl Fn(Vec<u8>) -> Vec<u8>) -> io::Result<Vec<u8>> {
    let count = number(line(from)?.trim_start_matches('*'))?;
    let mut words: Vec<Vec<u8>> = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(line(from)?.trim_start_matches('$'))? + 2];
        from.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    match words.first().map(|word| word.to_ascii_uppercase()).as_deref() {
        Some(b"EVALSHA") => words[1] = vec![b'0'; 40],
        Some(b"EVAL") => words[1] = edit(std::mem::take(&mut words[1])),
        _ => {}
    }
    let mut bytes = format!("*{count}\r\n").into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    Ok(bytes)
}

fn http_request(from: &mut impl BufRead, edit: impl Fn(Vec<u8>) -> Vec<u8>) -> io::Result<Vec<u8>> {
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let header = line(from)?;
        if header.is_empty() {
            break;
        }
        match header.to_ascii_lowercase().strip_prefix("content-length:") {
            Some(value) => length = number(value.trim())?,
            None => head.push(header),
        }
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let body = edit(body);
    head.push(format!("content-length: {}", body.len()));
    let mut bytes = format!("{}\r\n\r\n", head.join("\r\n")).into_bytes();
    bytes.extend(body);
    Ok(bytes)
}
