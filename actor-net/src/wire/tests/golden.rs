//! The bytes of every frame, as files: who changes them breaks with peers that run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::codec::put_varint;
use super::super::context::{ContextBlock, More, TraceParts};
use super::super::credit::Credit;
use super::super::error::CloseReason;
use super::super::frame::{FrameKind, put_frame};
use super::super::hello::{ConnectionKind, Hello, Proof, Refusal, Versions, Welcome};
use super::super::message::{Address, Addressed, Cancelled, FailCode, Flush, Head, Target};
use super::super::signal::{End, Signal, SignalKind};
use super::super::table::MessageTable;
use super::super::test_kit;
use super::{hex, unhex};

fn frame(kind: FrameKind, flags: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    put_frame(&mut out, kind, flags, write);
    out
}

fn message(head: &Head, remaining: Option<Duration>, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let flags = head.encode(remaining, &mut body);
    body.extend_from_slice(payload);
    frame(head.kind(), flags, |out| out.extend_from_slice(&body))
}

fn signal(number: u64, kind: SignalKind) -> Vec<u8> {
    let signal = Signal {
        from: Address { id: 1, key: 2 },
        to: Address { id: 3, key: 4 },
        kind,
    };
    frame(FrameKind::Signal, 0, |out| signal.encode(number, out))
}

fn every_frame() -> Vec<(&'static str, Vec<u8>)> {
    let who = test_kit::own("peer-a", 0x0102_0304).who;
    let hello = Hello {
        versions: Versions { min: 1, max: 2 },
        features: 0x10,
        required: 0,
        kind: ConnectionKind::Control,
        last_epoch: 3,
        received_through: 200,
        who: who.clone(),
    };
    let lane = Hello {
        kind: ConnectionKind::Lane {
            index: 1,
            session: 0xabcd,
        },
        ..hello.clone()
    };
    let welcome = Welcome {
        version: 1,
        features: 0,
        session: 0xabcd,
        epoch: 4,
        received_through: 0,
        who,
    };
    let plain = Addressed {
        message_type: 300,
        target: Target::Actor(Address {
            id: 0x1122,
            key: 0x3344,
        }),
        sender: None,
        context: None,
    };
    let mut context = ContextBlock {
        trace: Some(TraceParts {
            trace: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
            span: 0x00f0_67aa_0ba9_02b7,
            flags: 1,
        }),
        scope: 7,
        ..ContextBlock::default()
    };
    *context.more_mut() = More {
        tracestate: "v=1".to_owned(),
        baggage: "tenant=acme".to_owned(),
        chain: vec![9],
    };
    let full = Addressed {
        message_type: 1,
        target: Target::Name("bank".to_owned()),
        sender: Some(Address { id: 5, key: 6 }),
        context: Some(context),
    };
    let end = End {
        reason: 4,
        detail: "boom".to_owned(),
        marked: true,
    };
    vec![
        (
            "hello",
            frame(FrameKind::Hello, 0, |out| {
                hello.encode(out);
                Proof::put(None, out);
            }),
        ),
        (
            "hello_lane_sealed",
            frame(FrameKind::Hello, 0, |out| {
                lane.encode(out);
                Proof::put(Some([9; 32]), out);
            }),
        ),
        (
            "welcome",
            frame(FrameKind::Welcome, 0, |out| {
                welcome.encode(out);
                Proof::put(None, out);
            }),
        ),
        (
            "confirm",
            frame(FrameKind::Confirm, 0, |out| Proof::put(None, out)),
        ),
        (
            "refuse_version",
            frame(FrameKind::Refuse, 0, |out| {
                Refusal::Version {
                    ours: Versions { min: 1, max: 2 },
                }
                .encode(out);
            }),
        ),
        (
            "refuse_cluster",
            frame(FrameKind::Refuse, 0, |out| {
                Refusal::Cluster {
                    ours: "prod".to_owned(),
                }
                .encode(out);
            }),
        ),
        (
            "ping",
            frame(FrameKind::Ping, 0, |out| {
                out.extend_from_slice(&7u64.to_le_bytes());
            }),
        ),
        (
            "pong",
            frame(FrameKind::Pong, 0, |out| {
                out.extend_from_slice(&7u64.to_le_bytes());
            }),
        ),
        ("goodbye", {
            let mut out = Vec::new();
            CloseReason::Fault {
                code: 6,
                detail: "3 messages more than the window allows".to_owned(),
            }
            .put(&mut out);
            out
        }),
        ("signal_watch", signal(1, SignalKind::Watch)),
        ("signal_unwatch", signal(2, SignalKind::Unwatch)),
        (
            "signal_terminated",
            signal(3, SignalKind::Terminated(end.clone())),
        ),
        ("signal_link", signal(4, SignalKind::Link)),
        ("signal_unlink", signal(5, SignalKind::Unlink)),
        (
            "signal_exit",
            signal(
                6,
                SignalKind::Exit(End {
                    marked: false,
                    ..end
                }),
            ),
        ),
        ("signal_stop", signal(7, SignalKind::Stop { mode: 1 })),
        (
            "signal_ack",
            frame(FrameKind::SignalAck, 0, |out| put_varint(out, 300)),
        ),
        ("table", {
            let table = MessageTable::new([("b.Pong", 2), ("a.Ping", 1)]);
            let [body] = &table.frames(4096)[..] else {
                panic!("one frame")
            };
            frame(FrameKind::Table, 1, |out| out.extend_from_slice(body))
        }),
        (
            "datagram",
            frame(FrameKind::Datagram, 0, |out| {
                out.extend_from_slice(&[2, 0xaa, 0xbb]);
            }),
        ),
        ("tell", message(&Head::Tell(plain.clone()), None, b"hi")),
        (
            "tells",
            message(
                &Head::Tells {
                    count: 3,
                    to: plain.clone(),
                },
                Some(Duration::from_millis(50)),
                b"\x02\x00hi\x00\x00\x03\x00you",
            ),
        ),
        (
            "tell_full",
            message(
                &Head::Tell(full),
                Some(Duration::from_millis(50)),
                b"payload",
            ),
        ),
        (
            "ask",
            message(
                &Head::Ask {
                    call: 128,
                    reply_lane: 1,
                    to: plain,
                },
                Some(Duration::from_secs(1)),
                b"?",
            ),
        ),
        ("reply", message(&Head::Reply { call: 128 }, None, b"!")),
        (
            "fail",
            message(
                &Head::Fail {
                    call: 128,
                    code: FailCode::Full,
                    detail: "mailbox of 1024 is full".to_owned(),
                },
                None,
                b"",
            ),
        ),
        (
            "cancel_call",
            frame(FrameKind::Cancel, 0, |out| Cancelled::Call(128).encode(out)),
        ),
        (
            "cancel_scope",
            frame(FrameKind::Cancel, 0, |out| Cancelled::Scope(5).encode(out)),
        ),
        (
            "flush",
            frame(FrameKind::Flush, 0, |out| {
                Flush {
                    watcher: 3,
                    signal: 200,
                }
                .encode(out);
            }),
        ),
        (
            "fragment_first",
            frame(FrameKind::Fragment, 1, |out| {
                put_varint(out, 1);
                out.extend_from_slice(&[FrameKind::Reply.code(), 0]);
                put_varint(out, 20_000);
                out.extend_from_slice(b"abc");
            }),
        ),
        (
            "fragment_last",
            frame(FrameKind::Fragment, 2, |out| {
                put_varint(out, 1);
                out.extend_from_slice(b"xyz");
            }),
        ),
        (
            "abort",
            frame(FrameKind::Abort, 1, |out| put_varint(out, 1)),
        ),
        (
            "credit",
            frame(FrameKind::Credit, 0, |out| {
                Credit {
                    received: 3,
                    messages: 2,
                    bytes: 300,
                    large: 20_000,
                }
                .encode(out);
            }),
        ),
        ("drain", frame(FrameKind::Drain, 0, |_| {})),
    ]
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire/golden")
}

/// `BLESS=1 cargo test -p actor-net golden` writes the files anew; look at the difference before you commit.
#[test]
fn golden_frames_have_not_changed() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, bytes) in every_frame() {
        let path = folder().join(name).with_extension("hex");
        if bless {
            let mut text = format!("# {name}: header, then the body, 16 bytes a line\n");
            let (header, body) = bytes.split_at(6);
            text += &format!("{}\n", hex(header));
            for line in body.chunks(16) {
                text += &format!("{}\n", hex(line));
            }
            fs::write(&path, text).expect("the folder of golden frames");
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        if unhex(&golden) != bytes {
            wrong.push(format!("{name}: now {}", hex(&bytes)));
        }
    }
    assert!(
        wrong.is_empty(),
        "frames that running peers would not understand any more:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn every_kind_of_frame_has_a_golden_one() {
    let shown: BTreeSet<u8> = every_frame().iter().map(|(_, bytes)| bytes[4]).collect();
    let all: BTreeSet<u8> = FrameKind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(shown, all);
    let files = fs::read_dir(folder()).expect("golden frames").count();
    assert_eq!(files, every_frame().len(), "files without a frame");
}

#[test]
fn the_readme_shows_every_kind_of_frame() {
    let readme = include_str!("../README.md");
    for kind in FrameKind::ALL {
        let row = format!("`{:#04x}` `{kind:?}`", kind.code());
        assert!(readme.contains(&row), "README.md has no {row}");
    }
}
