//! What strangers and bad peers say before they are authenticated.

use super::super::super::frame::FrameKind;
use super::super::super::hello::{ConnectionKind, Hello, Proof, Versions, Welcome};
use super::super::super::test_kit::own;
use super::{At, Case, End::Fatal, all, frame, raw, text, varint};
use crate::id::{ClusterId, PeerId};

pub(super) fn hello(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = Vec::new();
    a_hello().encode(&mut body);
    Proof::put(None, &mut body);
    change(&mut body);
    frame(FrameKind::Hello, 0, &body)
}

fn a_hello() -> Hello {
    let own = own("a", 1);
    Hello {
        versions: own.versions,
        features: 0,
        required: 0,
        kind: ConnectionKind::Control,
        last_epoch: 0,
        received_through: 0,
        who: own.who,
    }
}

fn hello_with(change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut hello = a_hello();
    change(&mut hello);
    let mut body = Vec::new();
    hello.encode(&mut body);
    Proof::put(None, &mut body);
    frame(FrameKind::Hello, 0, &body)
}

fn welcome(change: impl FnOnce(&mut Welcome)) -> Vec<u8> {
    let mut welcome = Welcome {
        version: 1,
        features: 0,
        session: 1,
        epoch: 1,
        received_through: 0,
        who: own("b", 1).who,
    };
    change(&mut welcome);
    let mut body = Vec::new();
    welcome.encode(&mut body);
    Proof::put(None, &mut body);
    frame(FrameKind::Welcome, 0, &body)
}

/// Where things are in the body of a greeting.
const VERSIONS: usize = 8;
const KIND: usize = 28;
const CLUSTER: usize = 28 + 18 + 2;

pub(super) fn before_authentication() -> Vec<Case> {
    let case = |name, bytes, words| Case {
        at: At::Acceptor,
        name,
        bytes,
        words,
        end: Fatal,
    };
    let kind = |kind: FrameKind| frame(kind, 0, &[]);
    vec![
        case(
            "http",
            b"GET / HTTP/1.1\r\n".to_vec(),
            "a body of 542393671 bytes",
        ),
        case(
            "tls in tls",
            vec![0x16, 3, 1, 2, 0, 1, 0, 1],
            "a body of 33620758 bytes",
        ),
        case(
            "ssh",
            b"SSH-2.0-x\r\n".to_vec(),
            "is this a peer of the same protocol",
        ),
        case("zeros", vec![0; 64], "unknown kind 0x00"),
        case("ones", vec![0xff; 64], "a body of 4294967295 bytes"),
        case(
            "one byte over 4 KiB",
            raw(4097, 1, 0, &[]),
            "at most 4096 are allowed",
        ),
        case(
            "a lane's size of frame",
            raw(65536, 1, 0, &[]),
            "at most 4096 are allowed",
        ),
        case("an extension", raw(0, 0x99, 0, &[]), "unknown kind 0x99"),
        case("a flag", raw(0, 1, 1, &[]), "flags 0x01 without a meaning"),
        case(
            "ping",
            frame(FrameKind::Ping, 0, &[0; 8]),
            "does not belong in stage Handshake",
        ),
        case(
            "tell",
            kind(FrameKind::Tell),
            "does not belong in stage Handshake",
        ),
        case(
            "signal",
            kind(FrameKind::Signal),
            "does not belong in stage Handshake",
        ),
        case(
            "table",
            kind(FrameKind::Table),
            "does not belong in stage Handshake",
        ),
        case(
            "fragment",
            frame(FrameKind::Fragment, 1, &[0; 9]),
            "does not belong in stage Handshake",
        ),
        case(
            "a confirmation first",
            frame(FrameKind::Confirm, 0, &[0]),
            "does not belong in stage Handshake",
        ),
        case(
            "a welcome to an acceptor",
            welcome(|_| {}),
            "does not belong in stage Handshake",
        ),
        case(
            "a long confirmation",
            raw(65, 3, 0, &[]),
            "at most 64 are allowed",
        ),
        case(
            "empty greeting",
            kind(FrameKind::Hello),
            "magic at byte 0: needs 8 bytes, 0 are left",
        ),
        case(
            "wrong magic",
            hello(|body| body[0] = b'X'),
            "magic at byte 0",
        ),
        case(
            "half a magic",
            frame(FrameKind::Hello, 0, b"acto"),
            "needs 8 bytes, 4 are left",
        ),
        case(
            "versions upside down",
            hello(|body| body[VERSIONS] = 9),
            "highest version",
        ),
        case(
            "unknown kind of connection",
            hello(|body| body[KIND] = 2),
            "connection kind at byte 28: unknown code 2",
        ),
        case(
            "cluster of no characters",
            hello_cluster(""),
            "cluster at byte 48: not the text",
        ),
        case(
            "cluster with a blank",
            hello_cluster("a b"),
            "cluster at byte 48: not the text",
        ),
        case(
            "cluster of 65 bytes",
            hello_cluster(&"x".repeat(65)),
            "65 is more than the 64 allowed",
        ),
        case(
            "cluster that is not UTF-8",
            hello(|body| body[CLUSTER + 1] = 0xff),
            "cluster at byte 48",
        ),
        case(
            "peer with a line end",
            hello(|body| {
                let at = CLUSTER + 1 + 5 + 1;
                body[at] = b'\n';
            }),
            "peer at byte 54",
        ),
        case(
            "cut in the nonce",
            hello(|body| body.truncate(CLUSTER + 20)),
            "nonce at byte 64: needs 32 bytes",
        ),
        case(
            "no NUMA nodes",
            hello_with(|hello| hello.who.numa_nodes.clear()),
            "NUMA nodes",
        ),
        case(
            "65 NUMA nodes",
            hello_with(|hello| hello.who.numa_nodes = vec![0; 65]),
            "65 is more than the 64 allowed",
        ),
        case(
            "a frame limit of nothing",
            hello_with(|hello| hello.who.limits.lane_frame = 0),
            "lane_frame",
        ),
        case(
            "a message limit of 4 GiB",
            hello_with(|hello| hello.who.limits.message = u32::MAX),
            "message",
        ),
        case(
            "a window below a message",
            hello_with(|hello| hello.who.limits.window_large = 40_000),
            "window_large",
        ),
        case(
            "no streams",
            hello_with(|hello| hello.who.limits.streams = 0),
            "streams",
        ),
        case(
            "a window of no messages",
            hello_with(|hello| hello.who.limits.window_messages = 0),
            "window_messages",
        ),
        case(
            "a proof of an unknown kind",
            hello(|body| {
                let end = body.len() - 1;
                body[end] = 2;
            }),
            "proof",
        ),
        case(
            "a proof cut short",
            hello(|body| {
                let end = body.len() - 1;
                body[end] = 1;
            }),
            "proof",
        ),
        case(
            "bytes behind the proof",
            hello(|body| body.push(0)),
            "1 bytes too many",
        ),
        case(
            "an extension block of 1025 bytes",
            hello(|body| {
                body.truncate(body.len() - 2);
                body.extend_from_slice(&varint(1025));
            }),
            "1025 is more than the 1024 allowed",
        ),
        case(
            "a proof where none is asked for",
            hello(|body| {
                body.pop();
                Proof::put(Some([0; 32]), body);
            }),
            "authentication failed",
        ),
        case(
            "an unknown reason, cut",
            frame(FrameKind::Refuse, 0, &[200, 0]),
            "second number",
        ),
        case(
            "no common version",
            hello_with(|hello| hello.versions = Versions { min: 5, max: 6 }),
            "upgrade the older",
        ),
        case(
            "another cluster",
            hello_cluster("wrong"),
            "give both the same cluster id",
        ),
        case(
            "itself",
            hello_with(|hello| hello.who.peer = PeerId::new("b").unwrap()),
            "reached itself",
        ),
    ]
}

fn hello_cluster(name: &str) -> Vec<u8> {
    hello(|body| {
        let rest = body.split_off(CLUSTER + 1 + "tests".len());
        body.truncate(CLUSTER);
        body.extend_from_slice(&text(name));
        body.extend_from_slice(&rest);
    })
}

pub(super) fn to_the_dialler() -> Vec<Case> {
    let case = |name, bytes, words| Case {
        at: At::Dialler,
        name,
        bytes,
        words,
        end: Fatal,
    };
    vec![
        case(
            "a greeting back",
            hello(|_| {}),
            "does not belong in stage Handshake",
        ),
        case(
            "a confirmation",
            frame(FrameKind::Confirm, 0, &[0]),
            "does not belong in stage Handshake",
        ),
        case(
            "a version that was not offered",
            welcome(|welcome| welcome.version = 2),
            "speaks versions 1..=1",
        ),
        case(
            "features that were not offered",
            welcome(|welcome| welcome.features = 8),
            "features 0x8",
        ),
        case(
            "another cluster",
            welcome(|welcome| welcome.who.cluster = ClusterId::new("x").unwrap()),
            "belongs to cluster `tests`",
        ),
        case(
            "itself",
            welcome(|welcome| welcome.who.peer = PeerId::new("a").unwrap()),
            "reached itself",
        ),
        case(
            "an empty welcome",
            frame(FrameKind::Welcome, 0, &[]),
            "magic at byte 0",
        ),
        case(
            "a refusal of no bytes",
            frame(FrameKind::Refuse, 0, &[]),
            "reason at byte 0",
        ),
        case(
            "a refusal with a long text",
            frame(
                FrameKind::Refuse,
                0,
                &all(&[&[3, 0, 0], &text(&"x".repeat(201))]),
            ),
            "201 is more than the 200 allowed",
        ),
    ]
}
