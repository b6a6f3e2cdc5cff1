//! Who comes in, by which proof, and what both sides say when somebody does not.

mod common;

use std::time::Duration;

use actor_net::transport::{
    HandshakeFailure, Link, LinkEnd, ListenError, Mode, Mtls, PinnedKeys, Security, SharedKey,
    Transport, Verdict,
};
use common::by_hand;
use common::*;
use rcgen::date_time_ymd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;

/// Both ways over one link, then an end in good order.
async fn talks(a: Security, b: Security) -> (Vec<String>, Vec<String>) {
    let (here, there) = (transport(a), transport(b));
    let mut listener = there.listen(loopback()).unwrap();
    let (dialled, accepted) = connect(&here, &mut listener).await;
    assert_eq!(dialled.peer().binding, accepted.peer().binding);
    let mode = dialled.peer().identity.mode();
    assert_eq!(dialled.peer().binding.is_some(), mode != Mode::Insecure);
    let names = (
        dialled.peer().identity.names().to_vec(),
        accepted.peer().identity.names().to_vec(),
    );
    let (mut near, mut far) = (End::of(dialled), End::echo(accepted));
    let said: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
    near.link.send(&said).unwrap();
    assert!(near.bytes(said.len()).await == said);
    near.link.close();
    assert_eq!(near.end().await.1, LinkEnd::ClosedHere);
    assert_eq!(far.end().await.1, LinkEnd::ClosedByPeer);
    at_rest(&[&here, &there]).await;
    names
}

#[tokio::test]
async fn insecure_links_talk() {
    talks(Security::insecure(), Security::insecure()).await;
}

#[tokio::test]
async fn links_with_a_shared_key_talk() {
    talks(shared(DIGITS), shared(DIGITS)).await;
}

#[tokio::test]
async fn links_with_pinned_keys_talk_and_know_the_names_beside_the_keys() {
    let dir = Dir::new("pinned");
    let (a, b) = pinned_pair(&dir);
    let names = talks(a, b).await;
    assert_eq!(names, (vec!["peer-b".into()], vec!["peer-a".into()]));
}

#[tokio::test]
async fn links_with_certificates_talk_and_know_the_names_in_them() {
    let (dir, pki) = (Dir::new("mtls"), Pki::new());
    let files = |name| Security::mtls(pki.files(&dir, name));
    let names = talks(files("peer-a"), files("peer-b")).await;
    assert_eq!(names, (vec!["peer-b".into()], vec!["peer-a".into()]));
}

#[tokio::test]
async fn a_cluster_name_stands_for_the_name_that_was_dialled() {
    let (dir, pki) = (Dir::new("cluster-name"), Pki::new());
    let issue = |file: &str, names: &[&str]| {
        let (certificate, key) = pki.issue(names, |_| {});
        Mtls::new(
            dir.write("ca.pem", pki.pem()),
            dir.write(&format!("{file}.pem"), certificate),
            dir.write(&format!("{file}.key"), key),
        )
    };
    // Neither has the address it is dialled by.
    let ours = |file: &str| issue(file, &["prod.internal", file]).cluster_name("prod.internal");
    talks(Security::mtls(ours("a")), Security::mtls(ours("b"))).await;

    // The same authority has signed for somebody else.
    let other = Security::mtls(issue("web", &["www.example", "127.0.0.1"]));
    let both = meet(other, Security::mtls(ours("c"))).await;
    assert!(
        matches!(&both.0, HandshakeFailure::WrongName { .. }),
        "{both:?}: the dialler looks at the name it dialled"
    );
    let wrong_client = Security::mtls(issue("web", &["www.example"]).cluster_name("www.example"));
    let ours =
        Security::mtls(issue("d", &["prod.internal", "www.example"]).cluster_name("prod.internal"));
    let (near, far) = meet(wrong_client, ours).await;
    assert_eq!(near, HandshakeFailure::Refused(Verdict::NotAuthenticated));
    assert!(matches!(far, HandshakeFailure::WrongName { .. }), "{far}");
}

/// What dialler and listener say when they do not come together.
async fn meet(dialler: Security, listener: Security) -> (HandshakeFailure, HandshakeFailure) {
    let here = transport(dialler);
    let (there, watcher) = observed(patient(), listener);
    let listener = there.listen(loopback()).unwrap();
    let near = handshake_failure(here.dial(&listener.local_addr().into()).await);
    let far = watcher.refusal().await;
    at_rest(&[&here, &there]).await;
    for (side, other) in [(&near, &far), (&far, &near)] {
        let text = side.to_string();
        assert!(text.len() > 30, "{text}");
        assert!(
            !matches!(side, HandshakeFailure::Tls(_) | HandshakeFailure::Io { .. }),
            "{side:?} while the other says {other:?}"
        );
    }
    (near, far)
}

#[tokio::test]
async fn a_wrong_shared_key_is_told_on_both_sides() {
    let (near, far) = meet(shared(DIGITS), shared(OTHER)).await;
    assert_eq!(near, HandshakeFailure::Refused(Verdict::NotAuthenticated));
    assert_eq!(far, HandshakeFailure::WrongSharedKey);
}

#[tokio::test]
async fn a_key_that_is_not_pinned_is_told_on_both_sides() {
    let (one, two) = (Dir::new("pins-1"), Dir::new("pins-2"));
    let (a, _) = pinned_pair(&one);
    let (_, b) = pinned_pair(&two);
    let (near, far) = meet(a, b).await;
    // The dialler is the first to see a key, and finds the listener's unknown.
    assert!(
        matches!(near, HandshakeFailure::KeyNotPinned { .. }),
        "{near}"
    );
    assert_eq!(far, HandshakeFailure::Refused(Verdict::KeyNotPinned));
}

#[tokio::test]
async fn a_pinned_listener_refuses_a_key_that_knows_it() {
    let dir = Dir::new("one-sided");
    let key = |name: &str| dir.write(name, rcgen::KeyPair::generate().unwrap().serialize_pem());
    let (a, b) = (key("a.key"), key("b.key"));
    let pin = |path| PinnedKeys::fingerprint_of(path).unwrap();
    let stranger = PinnedKeys::with_list(&a, [(pin(&b), None)]);
    let listener = PinnedKeys::with_list(&b, [(pin(&b), None)]);
    let (near, far) = meet(
        Security::pinned_keys(stranger),
        Security::pinned_keys(listener),
    )
    .await;
    assert_eq!(near, HandshakeFailure::Refused(Verdict::KeyNotPinned));
    assert_eq!(far, HandshakeFailure::KeyNotPinned { key: pin(&a) });
}

#[tokio::test]
async fn a_wrong_certificate_authority_is_told_on_both_sides() {
    let (dir, ours, theirs) = (Dir::new("ca"), Pki::new(), Pki::new());
    let (second, third) = (Dir::new("ca-2"), Dir::new("ca-3"));
    let (near, far) = meet(
        Security::mtls(ours.files(&dir, "a")),
        Security::mtls(theirs.files(&second, "b")),
    )
    .await;
    assert_eq!(near, HandshakeFailure::UnknownIssuer);
    assert_eq!(far, HandshakeFailure::Refused(Verdict::UnknownIssuer));
    // And when only the listener does not know the other.
    let both = Pki::new();
    let (certificate, key) = ours.issue(&["c", "127.0.0.1"], |_| {});
    let trusting = Mtls::new(
        dir.write("both.pem", both.pem() + &ours.pem()),
        dir.write("c.pem", certificate),
        dir.write("c.key", key),
    );
    let listener = both.files(&third, "d");
    let (near, far) = meet(Security::mtls(trusting), Security::mtls(listener)).await;
    assert_eq!(near, HandshakeFailure::Refused(Verdict::UnknownIssuer));
    assert_eq!(far, HandshakeFailure::UnknownIssuer);
}

/// A peer whose clock is right, and whose certificate was good when it started.
async fn with_bad_dates(
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> (HandshakeFailure, HandshakeFailure) {
    let (dir, pki) = (Dir::new("dates"), Pki::new());
    let listener = Security::mtls(pki.files(&dir, "b"));
    let (there, watcher) = observed(patient(), listener);
    let listening = there.listen(loopback()).unwrap();
    // A transport of ours does not start with such a certificate, so this dials by hand.
    let (certificate, key) = pki.issue(&["a"], change);
    let near = by_hand::dial(listening.local_addr(), &pki.pem(), &certificate, &key).await;
    let far = watcher.refusal().await;
    at_rest(&[&there]).await;
    (near, far)
}

#[tokio::test]
async fn an_expired_certificate_is_told_on_both_sides() {
    let (near, far) = with_bad_dates(|p| {
        p.not_before = date_time_ymd(2001, 1, 1);
        p.not_after = date_time_ymd(2002, 1, 1);
    })
    .await;
    assert_eq!(near, HandshakeFailure::Refused(Verdict::CertificateDates));
    assert!(matches!(far, HandshakeFailure::CertificateExpired { .. }));
    assert!(far.to_string().contains("2002-01-01 00:00:00 UTC"), "{far}");
}

#[tokio::test]
async fn a_certificate_that_is_not_yet_valid_is_told_on_both_sides() {
    let (near, far) = with_bad_dates(|p| p.not_before = date_time_ymd(2999, 1, 1)).await;
    assert_eq!(near, HandshakeFailure::Refused(Verdict::CertificateDates));
    assert!(matches!(
        far,
        HandshakeFailure::CertificateNotYetValid { .. }
    ));
}

#[tokio::test]
async fn different_modes_are_told_on_both_sides() {
    let (dir, pki) = (Dir::new("modes"), Pki::new());
    let (pinned, _) = pinned_pair(&dir);
    let modes = [
        shared(DIGITS),
        pinned,
        Security::mtls(pki.files(&dir, "a")),
        Security::insecure(),
    ];
    for dialler in &modes {
        for listener in modes.iter().filter(|l| l.mode() != dialler.mode()) {
            let (near, far) = meet(dialler.clone(), listener.clone()).await;
            let told = |failure: &HandshakeFailure| {
                matches!(
                    failure,
                    HandshakeFailure::OtherMode { .. }
                        | HandshakeFailure::SpokePlain
                        | HandshakeFailure::SpokeTls
                        | HandshakeFailure::Refused(Verdict::OtherMode)
                )
            };
            assert!(
                told(&near) && told(&far),
                "{dialler:?} to {listener:?}: {near:?}, {far:?}"
            );
        }
    }
}

#[tokio::test]
async fn garbage_and_old_tls_are_refused_and_get_nothing() {
    let (there, watcher) = observed(patient(), shared(DIGITS));
    let listener = there.listen(loopback()).unwrap();
    // An HTTP client, and a hello of TLS 1.2 as OpenSSL sends it.
    let cases: [(&[u8], HandshakeFailure); 2] = [
        (b"GET / HTTP/1.1\r\n\r\n", HandshakeFailure::NotActorNet),
        (TLS12_HELLO, HandshakeFailure::TlsVersion),
    ];
    for (n, (bytes, expected)) in cases.into_iter().enumerate() {
        let mut tcp = TcpStream::connect(listener.local_addr()).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        patiently("the end", tcp.read_to_end(&mut answer))
            .await
            .unwrap();
        assert!(answer.len() <= 7, "at most an alert: {answer:?}");
        until("a refusal", || watcher.refused.lock().unwrap().len() > n).await;
        assert_eq!(watcher.refused.lock().unwrap()[n], expected);
    }
    at_rest(&[&there]).await;
}

#[tokio::test]
async fn a_listener_that_speaks_something_else_is_told_to_the_dialler() {
    let server = TcpListener::bind(loopback()).await.unwrap();
    let addr = server.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = server.accept().await {
            let _ = tcp.write_all(b"220 mail.example ESMTP ready\r\n").await;
            let mut rest = Vec::new();
            let _ = tcp.read_to_end(&mut rest).await;
        }
    });
    let here = transport(shared(DIGITS));
    let failure = handshake_failure(here.dial(&addr.into()).await);
    assert_eq!(failure, HandshakeFailure::SpokePlain);
    let plain = transport(Security::insecure());
    let failure = handshake_failure(plain.dial(&addr.into()).await);
    assert_eq!(failure, HandshakeFailure::NotActorNet);
    at_rest(&[&here, &plain]).await;
}

#[tokio::test]
async fn c12_nothing_listens_beyond_loopback_without_authentication() {
    let open = transport(Security::insecure());
    for addr in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[::ffff:192.0.2.1]:0"] {
        let error = open.listen(addr.parse().unwrap()).unwrap_err();
        assert!(
            matches!(error, ListenError::InsecureBeyondLoopback { .. }),
            "{error}"
        );
    }
    // A kernel without IPv6 has a word of its own about that.
    let mapped = open.listen("[::ffff:127.0.0.1]:0".parse().unwrap());
    assert!(
        !matches!(mapped, Err(ListenError::InsecureBeyondLoopback { .. })),
        "{mapped:?}"
    );
    let dialled = open
        .dial(&"192.0.2.1:4710".parse().unwrap())
        .await
        .unwrap_err();
    assert!(
        dialled.to_string().contains("without authentication"),
        "{dialled}"
    );
    let locked = transport(shared(DIGITS));
    assert!(locked.listen("0.0.0.0:0".parse().unwrap()).is_ok());
    at_rest(&[&open, &locked]).await;
}

/// A relay that sits between two peers who know the key: it has two sessions, and a proof of one is worth
/// nothing in the other.
#[tokio::test]
async fn a_relay_between_two_peers_is_refused() {
    let (there, watcher) = observed(patient(), shared(DIGITS));
    let listener = there.listen(loopback()).unwrap();
    let here = transport(shared(DIGITS));
    // The relay ends TLS on both sides, since it wants to read, and passes on what is inside.
    let relay = by_hand::relay(listener.local_addr());
    let failure = handshake_failure(here.dial(&relay.into()).await);
    assert!(
        matches!(
            failure,
            HandshakeFailure::Refused(Verdict::NotAuthenticated) | HandshakeFailure::Closed
        ),
        "{failure:?}"
    );
    assert_eq!(watcher.refusal().await, HandshakeFailure::WrongSharedKey);
    at_rest(&[&here, &there]).await;
}

#[tokio::test]
async fn certificates_that_change_are_used_and_links_that_exist_go_on() {
    let (dir, pki) = (Dir::new("reload"), Pki::new());
    let often = patient().reload_every(Duration::from_millis(20));
    let start = |name: &str| {
        Transport::start(
            often.clone(),
            Security::mtls(pki.files(&dir, name)),
            &Handle::current(),
        )
        .unwrap()
    };
    let (here, there) = (start("a"), start("b"));
    let mut listener = there.listen(loopback()).unwrap();
    let (dialled, accepted) = connect(&here, &mut listener).await;
    let old_key = dialled.peer().identity.key();
    let (mut near, _far) = (End::of(dialled), End::echo(accepted));

    // Traffic all the while.
    near.link.send(b"before").unwrap();
    near.bytes(6).await;
    pki.files(&dir, "b");
    until("the new certificate", || there.stats().reloads > 0).await;
    near.link.send(b"during").unwrap();
    near.bytes(6).await;
    let (second, other) = connect(&here, &mut listener).await;
    assert_ne!(second.peer().identity.key(), old_key);

    // Half a change, or damage, changes nothing.
    dir.write("b.pem", "-----BEGIN CERTIFICATE-----\nno\n");
    until("the complaint", || there.stats().reloads_failed > 0).await;
    let third = connect(&here, &mut listener).await;
    near.link.send(b"after").unwrap();
    near.bytes(5).await;
    assert_eq!(there.stats().links, 3);
    drop((second, other, third));
    at_rest(&[&here, &there]).await;
}

#[tokio::test]
async fn a_shared_key_changes_in_three_steps_without_a_refusal() {
    let (a, b) = (Dir::new("key-a"), Dir::new("key-b"));
    let start = |dir: &Dir| transport(Security::shared_key_file(dir.write("key", DIGITS)));
    let (here, there) = (start(&a), start(&b));
    let mut at_b = there.listen(loopback()).unwrap();
    let mut at_a = here.listen(loopback()).unwrap();
    let steps = [
        format!("{DIGITS}\n{OTHER}\n"),
        format!("{OTHER}\n{DIGITS}\n"),
        format!("{OTHER}\n"),
    ];
    for step in steps {
        for (dir, transport) in [(&a, &here), (&b, &there)] {
            dir.write("key", &step);
            assert!(transport.reload_keys().unwrap());
            connect(&here, &mut at_b).await;
            connect(&there, &mut at_a).await;
        }
    }
    assert!(SharedKey::from_hex(OTHER).is_ok());
    at_rest(&[&here, &there]).await;
}

/// The commands of `docs/security.md`, as they stand there.
#[tokio::test]
async fn keys_made_as_documented_work() {
    let found = std::process::Command::new("openssl")
        .arg("version")
        .output();
    if !found.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no openssl here");
        return;
    }
    let page = include_str!("../../docs/security.md");
    let dir = Dir::new("documented");
    let mut blocks = 0;
    for block in page.split("```sh\n").skip(1) {
        let commands = block.split("```").next().unwrap();
        let mut shell = std::process::Command::new("sh");
        shell.args(["-e", "-c", commands]).current_dir(&dir.0);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{commands}: {output:?}");
        blocks += 1;
    }
    assert_eq!(blocks, 4);
    let file = |name: &str| dir.0.join(name);
    let mtls = || {
        let files = Mtls::new(file("ca.pem"), file("peer-0.pem"), file("peer-0.key"));
        Security::mtls(files.cluster_name("prod.actors.internal"))
    };
    let (names, _) = talks(mtls(), mtls()).await;
    assert_eq!(names, ["peer-0", "prod.actors.internal"]);
    let pinned = || PinnedKeys::from_files(file("peer-a.key"), file("peers.list"));
    talks(
        Security::pinned_keys(pinned()),
        Security::pinned_keys(pinned()),
    )
    .await;
    let shared = || Security::shared_key_file(file("shared.key"));
    talks(shared(), shared()).await;
}

/// A ClientHello of TLS 1.2, captured from `openssl s_client -tls1_2`.
const TLS12_HELLO: &[u8] = include_bytes!("fixtures/tls12_client_hello.bin");
