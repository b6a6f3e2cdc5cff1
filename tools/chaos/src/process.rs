//! What `/proc` says of the processes and threads of a session.

use std::fs;

/// The processes of a session: the program and all it started, their children too.
pub(crate) fn of_session(session: i32) -> Vec<i32> {
    numbers("/proc")
        .filter(|pid| {
            stat(&format!("/proc/{pid}/stat")).is_some_and(|stat| stat.session == session)
        })
        .collect()
}

pub(crate) fn threads(pid: i32) -> impl Iterator<Item = i32> {
    numbers(&format!("/proc/{pid}/task"))
}

/// Whether it runs, or would if there were a CPU for it.
pub(crate) fn is_running(pid: i32, tid: i32) -> bool {
    stat(&format!("/proc/{pid}/task/{tid}/stat")).is_some_and(|stat| stat.state == 'R')
}

/// A line on each thread, for a run that does not end.
pub(crate) fn listing(session: i32) -> String {
    let mut lines = String::new();
    for pid in of_session(session) {
        for tid in threads(pid) {
            let read = |file: &str| {
                fs::read_to_string(format!("/proc/{pid}/task/{tid}/{file}")).unwrap_or_default()
            };
            let state =
                stat(&format!("/proc/{pid}/task/{tid}/stat")).map_or('?', |stat| stat.state);
            lines.push_str(&format!(
                "  {pid}/{tid} {state} {} {} {}\n",
                read("comm").trim(),
                read("wchan").trim(),
                read("syscall")
                    .split_whitespace()
                    .take(4)
                    .collect::<Vec<_>>()
                    .join(" "),
            ));
        }
    }
    lines
}

struct Stat {
    state: char,
    session: i32,
}

/// `pid (name) state ppid pgrp session …`; the name may hold anything, brackets too.
fn stat(path: &str) -> Option<Stat> {
    let text = fs::read_to_string(path).ok()?;
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    let state = words.next()?.chars().next()?;
    let session = words.nth(2)?.parse().ok()?;
    Some(Stat { state, session })
}

fn numbers(dir: &str) -> impl Iterator<Item = i32> + use<> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
