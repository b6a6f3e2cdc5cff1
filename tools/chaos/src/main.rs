//! Runs a program again and again and keeps freezing single threads of it, to bring races to light.
//!
//! A test that is right on a quick machine and wrong on a slow one is wrong because two threads may be
//! further apart than its author thought. Here any thread of the program (a worker, a thread of tokio's, of
//! the blocking pool, of the test harness) may stop at any instruction for up to a tenth of a second while
//! all others run on. Half of the freezes hit a thread just before or after a system call, because a thread
//! that wakes another one does so by a system call, and what it does next is what tests are wrong about.
//!
//! It needs no privilege: a process may trace its own descendants.

#[cfg(target_os = "linux")]
mod freezer;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod runs;

mod options;
mod shake;

use std::process::ExitCode;

use options::Options;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("chaos: {wrong}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    run(&options)
}

#[cfg(target_os = "linux")]
fn run(options: &Options) -> ExitCode {
    match runs::all(options) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(1),
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn run(_: &Options) -> ExitCode {
    eprintln!("chaos: freezing single threads is only known on Linux");
    ExitCode::from(2)
}
