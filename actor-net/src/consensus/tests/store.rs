//! What a crash, a stray hand or another peer leave on the disk.

use super::super::disk::{Directory, Disk};
use super::super::*;
use super::super::{frames, message};
use super::kit::{Cluster, SimulatedDisk, simulate};

#[test]
fn a_torn_tail_is_cut_and_a_damaged_middle_is_told() {
    let records: Vec<Vec<u8>> = (1..5).map(|n| vec![n; usize::from(n) * 10]).collect();
    let mut file = Vec::new();
    let mut ends = vec![0];
    for record in &records {
        file.extend(frames::frame(record).unwrap());
        ends.push(file.len());
    }
    for upto in 0..=file.len() {
        let found = frames::read(&file[..upto]).unwrap();
        let whole = ends.iter().filter(|end| **end > 0 && **end <= upto).count();
        assert_eq!(found.payloads.len(), whole);
        assert_eq!(found.whole, ends[whole] as u64);
    }
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 1;
        let record = ends.iter().rposition(|end| *end <= at).unwrap();
        match frames::read(&damaged) {
            // The last: as if it had been torn.
            Ok(found) => assert_eq!((found.payloads.len(), record), (3, 3)),
            Err(place) => assert_eq!(place, ends[record] as u64),
        }
    }
}

#[test]
fn a_damaged_store_does_not_start() {
    simulate(async {
        let mut cluster = Cluster::new(1, 1, true);
        cluster.settings.bootstrap = Bootstrap::Alone;
        cluster.start(1).await.unwrap();
        cluster.settled().await;
        cluster.crash(1).await;
        cluster.disks[&1].damage("log", |_| 30);
        let refused = cluster.start(1).await.unwrap_err();
        let file = "log".to_owned();
        assert_eq!(
            refused,
            StartError::Store(StoreError::Corrupt { file, at: 0 })
        );
        let text = refused.to_string();
        assert!(text.contains("move the directory away"), "{text}");
    });
}

#[test]
fn another_peers_store_is_refused() {
    simulate(async {
        let mut cluster = Cluster::new(1, 1, true);
        cluster.settings.bootstrap = Bootstrap::Alone;
        cluster.start(1).await.unwrap();
        cluster.settled().await;
        cluster.crash(1).await;
        let disk: SimulatedDisk = cluster.disks[&1].clone();
        cluster.disks.insert(2, disk);
        let refused = cluster.start(2).await.unwrap_err();
        assert!(
            matches!(&refused, StartError::Store(StoreError::Foreign { peer, .. }) if peer == "p1"),
            "{refused}"
        );
    });
}

#[test]
fn a_directory_keeps_what_was_synced_and_notices_another_writer() {
    let path = std::env::temp_dir().join(format!("consensus-{}", std::process::id()));
    let mut one = Directory::open(&path).unwrap();
    assert_eq!(one.read("log").unwrap(), None);
    one.append("log", b"abc").unwrap();
    one.append("log", b"def").unwrap();
    one.cut("log", 4).unwrap();
    one.append("log", b"x").unwrap();
    assert_eq!(one.read("log").unwrap().unwrap(), b"abcdx");
    one.replace("log", b"new").unwrap();
    one.append("log", b"er").unwrap();
    let mut two = Directory::open(&path).unwrap();
    assert_eq!(two.read("log").unwrap().unwrap(), b"newer");
    two.append("log", b"!").unwrap();
    let noticed = one.append("log", b"?").unwrap_err();
    assert!(noticed.to_string().contains("directory of its own"));
    drop((one, two));
    std::fs::remove_dir_all(&path).unwrap();
}

#[test]
fn messages_of_any_length_come_in_parts_and_lies_about_them_are_dropped() {
    for length in [0, 1, message::PART_BYTES, message::PART_BYTES + 1, 300_000] {
        let sent: Vec<u8> = (0..length).map(|n| n as u8).collect();
        let mut whole = None;
        let mut reassembly = message::Reassembly::default();
        let parts = message::parts(7, &sent).unwrap();
        assert!(parts.iter().all(|part| part.len() <= 60 << 10));
        for part in &parts {
            assert_eq!(whole, None);
            whole = reassembly.take(part).unwrap();
        }
        assert_eq!(whole.unwrap_or_default(), sent);
        // A part twice, or one without those before it, makes no message.
        if let [first, second, ..] = &parts[..] {
            assert_eq!(reassembly.take(second), Ok(None));
            assert_eq!(reassembly.take(first), Ok(None));
            assert_eq!(reassembly.take(first), Err(message::Malformed));
        }
    }
    assert!(message::parts(1, &vec![0; message::MESSAGE_BYTES_MAX + 1]).is_none());
    let mut reassembly = message::Reassembly::default();
    for bytes in [&b""[..], b"\xff", &[0xff; 64]] {
        assert_eq!(reassembly.take(bytes), Err(message::Malformed));
    }
}

#[test]
fn settings_out_of_range_are_named() {
    let path = std::env::temp_dir();
    let wrong = ConsensusSettings {
        voters_max: 4,
        storage: Storage::Directory(path),
        ..ConsensusSettings::default()
    };
    let text = wrong.check().unwrap_err().to_string();
    assert_eq!(text, "voters_max is 4; allowed: 1, 3, 5 or 7");
    assert!(ConsensusSettings::default().check().is_ok());
}
