//! How a server ends.

use std::time::Duration;

use api_mock_server::Ended;

use crate::support::http::{Connection, get, upload};
use crate::support::{TestServer, simple, wait_until};

const WAIT: (&str, &str) = ("X-Mock-Wait-Before-Reply", "500ms");

#[test]
fn answers_that_are_on_their_way_still_come() {
    let mut server = TestServer::start();
    upload(server.address, &simple("GET", "one", "/one", "1"));
    let mut idle = Connection::open(server.address);
    assert_eq!(idle.ask("GET", "/one", &[], b"").status, 200);
    let mut busy = Connection::open(server.address);
    busy.send("GET", "/one", &[WAIT], b"");
    // The request is in flight when the count shows it.
    wait_until("the request", || {
        get(server.address, "/_scenarios").json()["/_scenarios/GET/one/one"]["RequestCount"] == 2
    });
    server.ask_to_stop();
    let answer = busy.read(false).unwrap();
    assert_eq!(answer.text(), "1");
    assert!(busy.is_ended() && idle.is_ended());
    let address = server.address;
    assert_eq!(server.ended(), Ended::Clean);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn what_takes_too_long_is_cut_off() {
    let mut server = TestServer::with(|config, _| config.timeouts.shutdown = Duration::from_millis(100));
    upload(server.address, &simple("GET", "one", "/one", "1"));
    let mut busy = Connection::open(server.address);
    busy.send("GET", "/one", &[("X-Mock-Wait-Before-Reply", "1m")], b"");
    wait_until("the request", || {
        get(server.address, "/_scenarios").json()["/_scenarios/GET/one/one"]["RequestCount"] == 1
    });
    server.ask_to_stop();
    assert_eq!(server.ended(), Ended::Cut { connections: 1 });
    assert!(busy.is_ended());
}
