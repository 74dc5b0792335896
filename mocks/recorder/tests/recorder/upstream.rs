//! How services are reached: certificates, proxies in between, hosts that are left alone.

use std::sync::{Arc, Mutex};

use api_mock_recorder::{Mode, ProxyConfig, RecorderOptions, UpstreamOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::origin::{Kind, Service, all_bytes};
use crate::support::{
    Recording, ask, ask_securely, ask_trusting, files, get, mode, request, root_of, trusting,
};

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_are_left_alone_see_their_own_certificate() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(true).await);
    let config = ProxyConfig { leave_alone: vec!["LOCALHOST".to_owned()], ..ProxyConfig::default() };
    let proxy = Recording::start(folder.path(), config, RecorderOptions::default()).await;
    let url = format!("https://localhost:{}/x", service.address.port());
    let own = service.certificate.clone();
    let got = ask_trusting(proxy.address, own, b"http/1.1", request("GET", &url, &[], "")).await.unwrap();
    assert_eq!(got.status, 200);
    assert!(
        ask_securely(proxy.address, &proxy.authority, b"h2", request("GET", &url, &[], "")).await.is_err()
    );
    assert!(proxy.names().await.is_empty());
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_to_hosts_that_are_left_alone_are_neither_recorded_nor_played_back() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(false).await);
    for leave_alone in ["127.0.0.1", ".0.0.1"] {
        for kind in [Mode::RecordMissing, Mode::Record, Mode::Playback] {
            let before = service.hits();
            let config = ProxyConfig { leave_alone: vec![leave_alone.to_owned()], ..mode(kind) };
            let proxy = Recording::start(folder.path(), config, RecorderOptions::default()).await;
            let file = "method: GET\nname: mine\npath: /v1/x\nresponse:\n  contents: mocked\n";
            proxy.engine.store().put_text(file, api_mock_scenario::Format::Yaml).unwrap();
            for header in [("x-mock-record", "true"), ("accept", "*/*")] {
                let got = ask(proxy.address, request("GET", &service.url("/v1/x"), &[header], "")).await;
                assert_eq!((got.status, got.header("x-mock-scenario")), (200, None), "{kind:?}");
                assert!(got.text().contains("cash_balance"), "{}", got.text());
            }
            assert_eq!((service.hits() - before, proxy.names().await), (2, vec!["mine".to_owned()]));
            proxy.end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_behind_another_proxy_are_reached() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (plain, secure) = (Service::start(false).await, Service::start(true).await);
    let far = Recording::start(two.path(), mode(Mode::Passthrough), trusting(&secure)).await;
    let upstream = UpstreamOptions {
        proxy: Some(format!("http://{}", far.address).parse().unwrap()),
        extra_roots: vec![root_of(&far.authority)],
        ..UpstreamOptions::default()
    };
    let options = RecorderOptions { upstream, ..RecorderOptions::default() };
    let near = Recording::start(one.path(), ProxyConfig::default(), options).await;
    assert_eq!(get(near.address, &plain.url("/binary")).await.body, all_bytes());
    let url = format!("https://localhost:{}/binary", secure.address.port());
    let alone = request("GET", &url, &[("x-mock-record", "true")], "");
    let got = ask_securely(near.address, &near.authority, b"h2", alone).await.unwrap();
    assert_eq!((got.status, got.body), (200, all_bytes().into()));
    assert_eq!((plain.hits(), secure.hits()), (1, 1));
    assert_eq!((near.names().await.len(), far.names().await.len()), (1, 0));
    near.end().await;
    far.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_of_http_on_both_sides_and_insecure_services_if_asked_for() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(true).await);
    let options = RecorderOptions {
        upstream: UpstreamOptions { insecure: true, ..UpstreamOptions::default() },
        ..RecorderOptions::default()
    };
    let proxy = Recording::start(folder.path(), mode(Mode::Record), options).await;
    for alpn in [&b"h2"[..], b"http/1.1"] {
        let url = format!("https://127.0.0.1:{}/todos", service.address.port());
        let post = request("POST", &url, &[("content-type", "application/json")], "{}");
        let got = ask_securely(proxy.address, &proxy.authority, alpn, post).await.unwrap();
        assert_eq!((got.status, got.text()), (201, "{}"));
    }
    assert_eq!(proxy.names().await.len(), 1);
    proxy.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_ask_for_a_certificate_are_shown_ours() {
    let made = rcgen::generate_simple_self_signed(vec!["client.test".to_owned()]).unwrap();
    let shown = made.cert.der().clone();
    let kind = Kind { tls: true, clients: Some(shown.clone()), ..Kind::default() };
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start_as(kind).await);
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let url = service.secure_url("/x");
    let ask_for = || request("GET", &url, &[], "");
    // Without one the service does not speak to us.
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), trusting(&service)).await;
    let refused = ask_securely(proxy.address, &proxy.authority, b"h2", ask_for()).await.unwrap();
    assert_eq!((refused.status, service.hits()), (502, 0), "{}", refused.text());
    proxy.end().await;
    let mut options = trusting(&service);
    options.upstream.client_identity = Some(Arc::new((vec![shown], key)));
    let proxy = Recording::start(folder.path(), ProxyConfig::default(), options).await;
    let got = ask_securely(proxy.address, &proxy.authority, b"h2", ask_for()).await.unwrap();
    assert_eq!((got.status, service.hits()), (200, 1), "{}", got.text());
    assert_eq!(proxy.names().await.len(), 1);
    proxy.end().await;
}

/// A proxy that wants a password, keeps the heads that it got, and answers plain requests itself.
async fn proxy_with_password(heads: Arc<Mutex<Vec<String>>>) -> std::net::SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = socket.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = client.read_u8().await else { break };
                head.push(byte);
            }
            let head = String::from_utf8(head).unwrap();
            heads.lock().unwrap().push(head.clone());
            // me:s3cret
            if !head.to_ascii_lowercase().contains("proxy-authorization: basic bwu6cznjcmv0") {
                let _ = client.write_all(b"HTTP/1.1 407 No\r\ncontent-length: 0\r\n\r\n").await;
                continue;
            }
            let target = head.split(' ').nth(1).unwrap().to_owned();
            if head.starts_with("CONNECT") {
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut there = TcpStream::connect(target.replace("localhost", "127.0.0.1")).await.unwrap();
                tokio::spawn(async move {
                    tokio::io::copy_bidirectional(&mut client, &mut there).await.map(|_| ())
                });
            } else {
                let body = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{target}", target.len());
                let _ = client.write_all(body.as_bytes()).await;
            }
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_in_between_gets_its_password_and_nobody_else_does() {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start(true).await);
    let heads = Arc::new(Mutex::new(Vec::new()));
    let between = proxy_with_password(Arc::clone(&heads)).await;
    for (password, status) in [("s3cret", 200), ("wr0ng", 502)] {
        let mut options = trusting(&service);
        let address = format!("http://me:{password}@{between}");
        options.upstream.proxy = Some(address.replace("s3cret", "s%33cret").parse().unwrap());
        assert!(!format!("{options:?}").contains(password));
        let proxy = Recording::start(folder.path(), mode(Mode::Record), options).await;
        // A name that only the proxy in between could know, if anybody does.
        let plain = get(proxy.address, "http://nobody.invalid/x").await;
        let secret = request("GET", &service.secure_url("/y"), &[], "");
        let secure = ask_securely(proxy.address, &proxy.authority, b"http/1.1", secret).await.unwrap();
        assert_eq!((plain.status, secure.status), (status, status), "{}", secure.text());
        if status == 200 {
            assert_eq!(plain.text(), "http://nobody.invalid/x");
            assert!(!service.seen.lock().unwrap().contains_key("proxy-authorization"));
        } else {
            assert!(secure.text().contains("it answers 407"), "{}", secure.text());
        }
        proxy.names().await;
        proxy.end().await;
        for (name, bytes) in files(folder.path()) {
            let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
            assert!(!text.contains("proxy-auth") && !text.contains("bwu6"), "{name}: {text}");
        }
    }
    assert_eq!((heads.lock().unwrap().len(), service.hits()), (4, 1));
}
