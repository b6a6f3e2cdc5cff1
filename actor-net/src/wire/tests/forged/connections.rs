//! What a peer sends that is authenticated, and broken or malicious.

use super::super::super::frame::FrameKind;
use super::handshake::hello;
use super::{
    At, Case,
    End::{Fatal, One},
    all, frame, raw, text, varint,
};

pub(super) fn on_the_control_connection() -> Vec<Case> {
    let case = |name, bytes, words| Case {
        at: At::Control,
        name,
        bytes,
        words,
        end: Fatal,
    };
    let signal = |number: u64, code: u8, rest: &[u8]| {
        let body = all(&[&number.to_le_bytes(), &[code], &[0; 32], rest]);
        frame(FrameKind::Signal, 0, &body)
    };
    let table = |flags, first: u64, count: u64, entries: &[(&str, u64)]| {
        let mut body = all(&[&varint(first), &varint(count)]);
        for (name, schema) in entries {
            body.extend_from_slice(&text(name));
            body.extend_from_slice(&schema.to_le_bytes());
        }
        frame(FrameKind::Table, flags, &body)
    };
    vec![
        case(
            "a greeting again",
            hello(|_| {}),
            "does not belong in stage Control",
        ),
        case(
            "tell",
            frame(FrameKind::Tell, 0, &[]),
            "does not belong in stage Control",
        ),
        case(
            "credit",
            frame(FrameKind::Credit, 0, &[0; 4]),
            "does not belong in stage Control",
        ),
        case("unknown", raw(0, 0x7f, 0, &[]), "unknown kind 0x7f"),
        case(
            "too long",
            raw(65_537, 0x1b, 0, &[]),
            "at most 65536 are allowed",
        ),
        case(
            "a short ping",
            frame(FrameKind::Ping, 0, &[0; 7]),
            "needs 8 bytes, 7 are left",
        ),
        case("a long ping", raw(9, 0x10, 0, &[]), "at most 8 are allowed"),
        case(
            "signal 0",
            signal(0, 1, &[]),
            "signal 0 came where 1 was due",
        ),
        case(
            "a signal too far",
            signal(2, 1, &[]),
            "signal 2 came where 1 was due",
        ),
        case(
            "a signal of an unknown kind",
            signal(1, 99, &[]),
            "unknown code 99",
        ),
        case(
            "a signal with a tail",
            signal(1, 1, &[0]),
            "1 bytes too many",
        ),
        case(
            "an end without its reason",
            signal(1, 3, &[]),
            "reason at byte 41",
        ),
        case(
            "an end whose text is none",
            signal(1, 3, &[0, 1, 0xff, 0]),
            "detail at byte 42",
        ),
        case(
            "an end that is marked by half",
            signal(1, 3, &[0, 0, 2]),
            "unknown code 2",
        ),
        case(
            "an end with a text of 1025",
            signal(1, 3, &all(&[&[0], &text(&"x".repeat(1025)), &[0]])),
            "1025 is more than the 1024 allowed",
        ),
        case(
            "an acknowledgement of nothing",
            frame(FrameKind::SignalAck, 0, &varint(1)),
            "1 signals more given back than were sent",
        ),
        case(
            "an acknowledgement in ten bytes",
            frame(FrameKind::SignalAck, 0, &[0xff; 10]),
            "not a varint",
        ),
        case(
            "an acknowledgement in a longer form",
            frame(FrameKind::SignalAck, 0, &[0x80, 0]),
            "not a varint",
        ),
        case(
            "a table that begins at 1",
            table(0, 1, 0, &[]),
            "do not go on where they stopped",
        ),
        case(
            "a table with a name twice",
            table(1, 0, 2, &[("a", 1), ("a", 2)]),
            "names are not in their order",
        ),
        case(
            "a table upside down",
            table(1, 0, 2, &[("b", 1), ("a", 2)]),
            "names are not in their order",
        ),
        case(
            "a table that says more than it has",
            table(1, 0, u64::MAX, &[("a", 1)]),
            "name at byte",
        ),
        case(
            "a table with a tail",
            frame(FrameKind::Table, 1, &[0, 0, 7]),
            "1 bytes too many",
        ),
        case(
            "a table twice",
            all(&[&table(1, 0, 0, &[]), &table(1, 0, 0, &[])]),
            "complete already",
        ),
        case(
            "a datagram of nothing",
            frame(FrameKind::Datagram, 0, &[]),
            "channel at byte 0",
        ),
        case(
            "a goodbye of nothing",
            frame(FrameKind::Goodbye, 0, &[]),
            "reason at byte 0",
        ),
    ]
}

pub(super) fn on_a_lane() -> Vec<Case> {
    let case = |end, name, bytes, words| Case {
        at: At::Lane,
        name,
        bytes,
        words,
        end,
    };
    let to = |rest: &[u8]| all(&[&[3, 1], &[0; 16], rest]);
    let first = |stream: u64, kind: FrameKind, total: u64, bytes: &[u8]| {
        let body = all(&[&varint(stream), &[kind.code(), 0], &varint(total), bytes]);
        frame(FrameKind::Fragment, 1, &body)
    };
    let next = |flags, stream: u64, bytes: &[u8]| {
        frame(FrameKind::Fragment, flags, &all(&[&varint(stream), bytes]))
    };
    let tell = frame(FrameKind::Tell, 0, &to(&[]));
    let big = frame(FrameKind::Tell, 0, &to(&[0; 17_000]));
    vec![
        case(
            Fatal,
            "a signal",
            frame(FrameKind::Signal, 0, &[]),
            "does not belong in stage Lane",
        ),
        case(
            Fatal,
            "a table",
            frame(FrameKind::Table, 0, &[]),
            "does not belong in stage Lane",
        ),
        case(Fatal, "unknown", raw(0, 0x3f, 0, &[]), "unknown kind 0x3f"),
        case(
            Fatal,
            "too long",
            raw(32_769, 0x20, 0, &[]),
            "at most 32768 are allowed",
        ),
        case(
            Fatal,
            "a third flag",
            raw(0, 0x20, 4, &[]),
            "flags 0x04 without a meaning",
        ),
        case(
            One,
            "a tell of nothing",
            frame(FrameKind::Tell, 0, &[]),
            "message type at byte 0",
        ),
        case(
            One,
            "a type of 33 bits",
            frame(FrameKind::Tell, 0, &varint(1 << 32)),
            "4294967296 is more than",
        ),
        case(
            One,
            "a target of an unknown kind",
            frame(FrameKind::Tell, 0, &[3, 9]),
            "target at byte 1: unknown code 9",
        ),
        case(
            One,
            "a target cut short",
            frame(FrameKind::Tell, 0, &[3, 1, 0]),
            "target at byte 2: needs 8 bytes",
        ),
        case(
            One,
            "a name of 256 bytes",
            frame(
                FrameKind::Tell,
                0,
                &all(&[&[3, 2], &text(&"x".repeat(256))]),
            ),
            "256 is more than the 255 allowed",
        ),
        case(
            One,
            "a name that is not UTF-8",
            frame(FrameKind::Tell, 0, &[3, 2, 1, 0xff]),
            "target name at byte 2",
        ),
        case(
            One,
            "a sender that is not there",
            frame(FrameKind::Tell, 1, &to(&[])),
            "sender at byte 18",
        ),
        case(
            One,
            "a context that is not there",
            frame(FrameKind::Tell, 2, &to(&[])),
            "context parts at byte 18",
        ),
        case(
            One,
            "a context of unknown parts",
            frame(FrameKind::Tell, 2, &to(&[0x40])),
            "unknown code 64",
        ),
        case(
            One,
            "half a trace",
            frame(FrameKind::Tell, 2, &to(&[1, 0, 0])),
            "trace id at byte 19",
        ),
        case(
            One,
            "a tracestate of 513 bytes",
            frame(FrameKind::Tell, 2, &to(&all(&[&[2], &varint(513)]))),
            "513 is more than the 512 allowed",
        ),
        case(
            One,
            "baggage of 8193 bytes",
            frame(FrameKind::Tell, 2, &to(&all(&[&[16], &varint(8193)]))),
            "8193 is more than the 8192 allowed",
        ),
        case(
            One,
            "a chain of 33 hops",
            frame(FrameKind::Tell, 2, &to(&[32, 33])),
            "33 is more than the 32 allowed",
        ),
        case(
            Fatal,
            "messages of which nobody says how many",
            frame(FrameKind::Tells, 0, &[]),
            "messages at byte 0",
        ),
        case(
            Fatal,
            "no messages as one",
            frame(FrameKind::Tells, 0, &all(&[&[0], &to(&[0, 0])])),
            "0 is not within 1..=10",
        ),
        case(
            Fatal,
            "more messages than there are bytes",
            frame(FrameKind::Tells, 0, &all(&[&[11], &to(&[0, 0])])),
            "11 is not within 1..=10",
        ),
        case(
            Fatal,
            "33 messages as one without credit",
            frame(FrameKind::Tells, 0, &all(&[&[33], &to(&[0; 66])])),
            "1 messages more than the window",
        ),
        case(
            Fatal,
            "pieces of messages that go as one",
            first(1, FrameKind::Tells, 2000, b"x"),
            "the whole is no message",
        ),
        case(
            One,
            "fewer messages than it says",
            frame(FrameKind::Tells, 0, &all(&[&[3], &to(&[1, 0, 9])])),
            "payloads at byte 22: 3 is more than the 1 allowed",
        ),
        case(
            One,
            "a payload cut short",
            frame(FrameKind::Tells, 0, &all(&[&[1], &to(&[2, 0, 9])])),
            "payloads at byte 19: 1 is more than the 0 allowed",
        ),
        case(
            One,
            "more messages than it says",
            frame(FrameKind::Tells, 0, &all(&[&[1], &to(&[1, 0, 9, 0, 0])])),
            "2 bytes too many",
        ),
        case(
            One,
            "messages for a target of an unknown kind",
            frame(FrameKind::Tells, 0, &[1, 3, 9, 0, 0]),
            "target at byte 2: unknown code 9",
        ),
        case(
            One,
            "an ask without a lane",
            frame(FrameKind::Ask, 0, &[1]),
            "reply lane at byte 1",
        ),
        case(
            One,
            "an answer to nothing",
            frame(FrameKind::Reply, 0, &[]),
            "call at byte 0",
        ),
        case(
            One,
            "a failure with a tail",
            frame(FrameKind::Fail, 0, &[1, 1, 0, 9]),
            "1 bytes too many",
        ),
        case(
            One,
            "a failure of a text that is none",
            frame(FrameKind::Fail, 0, &[1, 1, 1, 0xff]),
            "detail at byte 2",
        ),
        case(
            Fatal,
            "a cancellation of an unknown kind",
            frame(FrameKind::Cancel, 0, &[7, 1]),
            "unknown code 7",
        ),
        case(
            Fatal,
            "a cancellation of nothing",
            frame(FrameKind::Cancel, 0, &[0]),
            "number at byte 1",
        ),
        case(
            Fatal,
            "a mark of nothing",
            frame(FrameKind::Flush, 0, &[0; 7]),
            "watcher at byte 0",
        ),
        case(
            Fatal,
            "a drain with a body",
            raw(1, 0x2b, 0, &[]),
            "at most 0 are allowed",
        ),
        case(
            Fatal,
            "a message after the drain",
            all(&[&frame(FrameKind::Drain, 0, &[]), &tell]),
            "does not belong in stage Lane",
        ),
        case(
            Fatal,
            "a drain within a message",
            all(&[
                &first(1, FrameKind::Tell, 2000, b"x"),
                &frame(FrameKind::Drain, 0, &[]),
            ]),
            "while a message in pieces is incomplete",
        ),
        case(
            Fatal,
            "33 messages without credit",
            tell.repeat(33),
            "1 messages more than the window",
        ),
        case(
            Fatal,
            "34 KB without credit",
            big.repeat(2),
            "bytes more than the window",
        ),
        case(
            Fatal,
            "credit that was not used",
            frame(FrameKind::Credit, 0, &[0, 1, 0, 0]),
            "1 messages more given back",
        ),
        case(
            Fatal,
            "bytes that were not sent",
            frame(FrameKind::Credit, 0, &[0, 0, 1, 0]),
            "1 bytes more given back",
        ),
        case(
            Fatal,
            "messages that were not sent",
            frame(FrameKind::Credit, 0, &[1, 0, 0, 0]),
            "1 messages received more given back",
        ),
        case(
            Fatal,
            "credit beyond all numbers",
            frame(
                FrameKind::Credit,
                0,
                &all(&[&[0], &varint(u64::MAX), &[0, 0]]),
            ),
            "more given back",
        ),
        case(
            Fatal,
            "a piece without its number",
            frame(FrameKind::Fragment, 0, &[]),
            "stream at byte 0",
        ),
        case(
            Fatal,
            "a piece of nothing",
            next(0, 9, b"x"),
            "has not begun",
        ),
        case(
            Fatal,
            "a piece without bytes",
            first(1, FrameKind::Tell, 2000, b""),
            "a piece without bytes",
        ),
        case(
            Fatal,
            "pieces of a ping",
            first(1, FrameKind::Ping, 2000, b"x"),
            "the whole is no message",
        ),
        case(
            Fatal,
            "pieces of pieces",
            first(1, FrameKind::Fragment, 2000, b"x"),
            "the whole is no message",
        ),
        case(
            Fatal,
            "a whole beyond the limit",
            first(1, FrameKind::Tell, 65_537, b"x"),
            "longer than a message may be",
        ),
        case(
            Fatal,
            "a whole of 2^40 bytes",
            first(1, FrameKind::Tell, 1 << 40, b"x"),
            "length of the whole",
        ),
        case(
            Fatal,
            "a stream twice",
            first(1, FrameKind::Tell, 2000, b"x").repeat(2),
            "it has begun already",
        ),
        case(
            Fatal,
            "five streams",
            (1..=5)
                .flat_map(|id| first(id, FrameKind::Tell, 2000, b"x"))
                .collect(),
            "at a time than allowed",
        ),
        case(
            Fatal,
            "three times 64 KiB",
            (1..=3)
                .flat_map(|id| first(id, FrameKind::Tell, 65_536, b"x"))
                .collect(),
            "bytes of large messages more than the window",
        ),
        case(
            Fatal,
            "more than the whole",
            all(&[&first(1, FrameKind::Tell, 2, b"x"), &next(2, 1, b"yz")]),
            "more bytes than the whole",
        ),
        case(
            Fatal,
            "less than the whole",
            all(&[&first(1, FrameKind::Tell, 9, b"x"), &next(2, 1, b"y")]),
            "ends before all bytes",
        ),
        case(
            Fatal,
            "all of it and no end",
            all(&[&first(1, FrameKind::Tell, 2, b"x"), &next(0, 1, b"y")]),
            "not marked as the last",
        ),
        case(
            Fatal,
            "one piece that is all",
            frame(FrameKind::Fragment, 3, &[1, 0x22, 0, 1, b'x']),
            "no message in pieces",
        ),
        case(
            Fatal,
            "an end of what never began",
            frame(FrameKind::Abort, 0, &[1]),
            "given up, but has not begun",
        ),
        case(
            One,
            "flags of a whole without a meaning",
            all(&[
                &frame(FrameKind::Fragment, 1, &all(&[&[1, 0x20, 4, 19], &to(&[])])),
                &next(2, 1, b"x"),
            ]),
            "flags at byte 0",
        ),
        case(
            One,
            "a whole that is none",
            all(&[&first(1, FrameKind::Tell, 2, &[3]), &next(2, 1, &[9])]),
            "target at byte 1",
        ),
    ]
}
