//! What may be said on the command line.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: chaos [options] -- PROGRAM [ARG...]

Runs the program and keeps freezing single threads of it and of its children.

  --runs N        so many runs, each with the next seed [1]
  --seed N        seed of the first run: which threads, when, how long [1]
  --hold MIN-MAX  how long a thread is frozen, in ms; short ones are more frequent [1-100]
  --every US      mean time from one freeze to the next, in microseconds [2000]
  --share PERCENT at most so many of the threads are frozen at a time [40]
  --timeout S     a run that takes longer is a failure: its threads are listed, it is killed [600]
  --keep-going    do not stop at the first failure
  --verbose       show the output of runs that pass as well
  -h, --help

The output of a run that fails is shown. Exit code: 1 if a run failed, 2 if none could be started.
A seed repeats the choices, not the schedule: the kernel has a say in that.
";

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) runs: u64,
    pub(crate) seed: u64,
    pub(crate) hold_min: Duration,
    pub(crate) hold_max: Duration,
    pub(crate) every: Duration,
    pub(crate) share_percent: u64,
    pub(crate) timeout: Duration,
    pub(crate) keep_going: bool,
    pub(crate) verbose: bool,
    pub(crate) program: Vec<String>,
}

impl Options {
    /// `None`: help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            runs: 1,
            seed: 1,
            hold_min: Duration::from_millis(1),
            hold_max: Duration::from_millis(100),
            every: Duration::from_micros(2000),
            share_percent: 40,
            timeout: Duration::from_secs(600),
            keep_going: false,
            verbose: false,
            program: Vec::new(),
        };
        while let Some(arg) = args.next() {
            let mut number = |least: u64| -> Result<u64, String> {
                let value = args.next().ok_or_else(|| format!("{arg} needs a number"))?;
                match value.parse() {
                    Ok(number) if number >= least => Ok(number),
                    _ => Err(format!(
                        "{arg} needs a number from {least} on, not {value:?}"
                    )),
                }
            };
            match arg.as_str() {
                "--runs" => options.runs = number(1)?,
                "--seed" => options.seed = number(0)?,
                "--every" => options.every = Duration::from_micros(number(1)?),
                "--share" => options.share_percent = number(1)?.min(100),
                "--timeout" => options.timeout = Duration::from_secs(number(1)?),
                "--hold" => {
                    let value = args.next().unwrap_or_default();
                    let (min, max) = range(&value)
                        .ok_or_else(|| format!("--hold needs MIN-MAX in ms, not {value:?}"))?;
                    options.hold_min = Duration::from_millis(min);
                    options.hold_max = Duration::from_millis(max);
                }
                "--keep-going" => options.keep_going = true,
                "--verbose" => options.verbose = true,
                "-h" | "--help" => return Ok(None),
                "--" => {
                    options.program.extend(args);
                    break;
                }
                _ if arg.starts_with('-') => return Err(format!("no option {arg:?}")),
                _ => {
                    options.program.push(arg);
                    options.program.extend(args);
                    break;
                }
            }
        }
        if options.program.is_empty() {
            return Err("no program to run".to_owned());
        }
        Ok(Some(options))
    }
}

/// `MIN-MAX`, both at least one, in order.
fn range(text: &str) -> Option<(u64, u64)> {
    let (min, max) = text.split_once('-')?;
    let (min, max) = (min.parse().ok()?, max.parse().ok()?);
    (1 <= min && min <= max).then_some((min, max))
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
