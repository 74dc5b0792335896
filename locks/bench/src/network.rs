//! A network between client and server: everything that goes through comes half a round trip later, either way.
//!
//! A connection opens at once here, while a network takes a round trip for that too: whoever connects often is flattered.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::Outcome;

/// Stands before `server` (`host:port`) until the program ends; gives its own address. Threads, since timers of the runtime are
/// not finer than a millisecond.
pub(crate) fn before(server: &str, round_trip: Duration) -> Outcome<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let server = server.to_string();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Whoever cannot be served sees a connection that ends.
            let _ = serve(client, &server, round_trip / 2);
        }
    });
    Ok(address)
}

fn serve(client: TcpStream, server: &str, half: Duration) -> Outcome {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || copy(from, to, half));
    }
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, half: Duration) {
    let mut buffer = vec![0; 64 * 1_024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        thread::sleep(half);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
