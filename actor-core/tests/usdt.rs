//! The static probes are in the program, and bpftrace sees actors by them (feature `usdt`).
#![cfg(all(feature = "usdt", target_os = "linux"))]

use std::process::{Command, Output};
use std::time::Duration;

use actor_core::prelude::*;

const PROBES: [&str; 6] = ["spawn", "stop", "turn_begin", "turn_end", "park", "unpark"];
const ACTORS: usize = 100;

struct Probed;

impl Actor for Probed {}

#[derive(Message)]
struct Go;

impl Handler<Go> for Probed {
    async fn handle(&mut self, _: Go, cx: &mut ActorContext<Self>) {
        cx.stop();
    }
}

/// What bpftrace runs.
#[test]
#[ignore = "the other test runs it"]
fn the_probed_program() {
    let system = ActorSystem::new().unwrap();
    for _ in 0..ACTORS {
        system.spawn(Probed).unwrap().tell(Go).unwrap();
    }
    let report = system.shutdown_blocking(Duration::from_secs(60));
    assert!(report.is_clean(), "{report}");
}

#[test]
fn every_probe_is_a_note_in_the_program() {
    let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    for probe in PROBES {
        let note = format!("actor_core\0{probe}\0-8@");
        let found = program
            .windows(note.len())
            .any(|bytes| bytes == note.as_bytes());
        assert!(found, "no note for {probe}");
    }
}

#[test]
fn bpftrace_counts_the_actors() {
    let can = bpftrace("BEGIN { exit(); }", &[]);
    if !can.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: bpftrace is not installed, or may not trace here: {can:?}");
        return;
    }
    let own = std::env::current_exe().unwrap();
    let own = own.to_str().unwrap();
    let actors = "if (strncmp(str(arg1, arg2), \"usdt::Probed\", 12) == 0)";
    let script = format!(
        "usdt:{own}:actor_core:spawn {{ {actors} {{ @spawned = count(); @alive[arg0] = 1; }} }} \
         usdt:{own}:actor_core:turn_begin {{ if (@alive[arg0]) {{ @begun = count(); }} }} \
         usdt:{own}:actor_core:stop {{ if (@alive[arg0]) {{ @stopped = count(); delete(@alive[arg0]); }} }}"
    );
    let command = format!("{own} the_probed_program --exact --ignored");
    let output = bpftrace(&script, &["-c", &command]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for line in [format!("@spawned: {ACTORS}"), format!("@stopped: {ACTORS}")] {
        assert!(text.contains(&line), "{line} is not in {output:?}");
    }
    let begun = text.lines().find_map(|line| line.strip_prefix("@begun: "));
    let begun: usize = begun
        .unwrap_or_else(|| panic!("{output:?}"))
        .parse()
        .unwrap();
    assert!(begun >= ACTORS, "{output:?}");
}

fn bpftrace(script: &str, more: &[&str]) -> std::io::Result<Output> {
    Command::new("bpftrace")
        .args(more)
        .args(["-e", script])
        .output()
}
