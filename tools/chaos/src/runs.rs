//! One run after the other, each in a session of its own, with its output in a file until it fails.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::freezer::Freezer;
use crate::options::Options;
use crate::process;
use crate::shake::Shake;

/// How many runs failed.
pub(crate) fn all(options: &Options) -> io::Result<u64> {
    let (mut passed, mut failed) = (0, 0);
    let (began, mut longest) = (Instant::now(), Duration::ZERO);
    for run in 0..options.runs {
        let seed = options.seed.wrapping_add(run);
        let (outcome, time) = one(options, seed)?;
        longest = longest.max(time);
        match outcome {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                println!("chaos: FAILED with seed {seed}: {why}");
                if !options.keep_going {
                    break;
                }
            }
        }
    }
    println!(
        "chaos: {passed} passed, {failed} failed, {:.1?} in all, {longest:.1?} at most: {}",
        began.elapsed(),
        options.program.join(" ")
    );
    Ok(failed)
}

type Outcome = Result<(), String>;

fn one(options: &Options, seed: u64) -> io::Result<(Outcome, Duration)> {
    let mut output = scratch()?;
    let began = Instant::now();
    let mut command = Command::new(&options.program[0]);
    command
        .args(&options.program[1..])
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output.try_clone()?);
    // SAFETY: between fork and exec, setsid is the only call, and it is async-signal-safe.
    unsafe {
        command.pre_exec(|| match libc::setsid() {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let child = command
        .spawn()
        .map_err(|error| io::Error::other(format!("{}: {error}", options.program[0])))?;
    // Not `Child::wait`: the tracer must hear of its end among all else.
    let program = child.id() as i32;
    let (status, freezes) = watch(options, seed, program);
    let time = began.elapsed();
    if freezes == 0 && time > Duration::from_secs(1) {
        eprintln!(
            "chaos: nothing was frozen: may a process trace its children here (kernel.yama.ptrace_scope)?"
        );
    }
    let outcome = match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}")),
        Err(threads) => Err(format!(
            "not over after {:?}; its threads were\n{threads}",
            options.timeout
        )),
    };
    if outcome.is_err() || options.verbose {
        output.seek(SeekFrom::Start(0))?;
        let mut text = Vec::new();
        output.read_to_end(&mut text)?;
        io::stdout().write_all(&text)?;
        println!("chaos: seed {seed}, {freezes} freezes, {time:.1?}");
    }
    Ok((outcome, time))
}

/// Freezes threads of the program until it has ended: its status, or its threads when time was over.
fn watch(options: &Options, seed: u64, program: i32) -> (Result<ExitStatus, String>, u64) {
    let mut shake = Shake::new(seed);
    let mut freezer = Freezer::default();
    let mut session = Session::new(program);
    let deadline = Instant::now() + options.timeout;
    let mut next = Instant::now();
    let mut hung = None;
    loop {
        if let Some(status) = freezer.tend(program) {
            let status = hung.map_or_else(|| Ok(ExitStatus::from_raw(status)), Err);
            return (status, freezer.frozen);
        }
        let now = Instant::now();
        if now >= deadline && hung.is_none() {
            hung = Some(process::listing(program));
            // SAFETY: kill takes numbers; the group is the one that our child made its own.
            unsafe { libc::kill(-program, libc::SIGKILL) };
        }
        if now >= next && hung.is_none() {
            next = now + shake.about(options.every);
            let threads = session.threads(now);
            let limit = (threads.len() as u64 * options.share_percent).div_ceil(100);
            if (freezer.standing() as u64) < limit
                && let Some(tid) = pick(threads, &mut shake)
            {
                let hold = shake.between(options.hold_min, options.hold_max);
                freezer.freeze(tid, hold, &mut shake);
            }
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// Mostly a thread that has something to do: the others are many, and late anyway.
fn pick(threads: &[(i32, i32)], shake: &mut Shake) -> Option<i32> {
    if threads.is_empty() {
        return None;
    }
    let mut one = || threads[shake.below(threads.len() as u64) as usize];
    let tries = [one(), one(), one(), one(), one(), one(), one(), one()];
    let running = tries
        .iter()
        .find(|&&(pid, tid)| process::is_running(pid, tid));
    Some(running.unwrap_or(&tries[0]).1)
}

/// The processes and threads of a run; the former are looked up rarely, since that reads all of `/proc`.
struct Session {
    program: i32,
    processes: Vec<i32>,
    looked: Option<Instant>,
    threads: Vec<(i32, i32)>,
}

impl Session {
    fn new(program: i32) -> Self {
        Self {
            program,
            processes: vec![program],
            looked: None,
            threads: Vec::new(),
        }
    }

    fn threads(&mut self, now: Instant) -> &[(i32, i32)] {
        if self
            .looked
            .is_none_or(|at| now > at + Duration::from_millis(50))
        {
            self.looked = Some(now);
            self.processes = process::of_session(self.program);
        }
        self.threads.clear();
        for &pid in &self.processes {
            self.threads
                .extend(process::threads(pid).map(|tid| (pid, tid)));
        }
        &self.threads
    }
}

/// A file without a name.
fn scratch() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("chaos-{}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}
