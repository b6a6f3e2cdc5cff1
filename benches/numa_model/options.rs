//! The command line.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
numa_model: the runtime's policies on machines with several sockets, simulated

  --sockets N[,N...]     2 to 8, powers of two (default 2,4,8)
  --cores-per-socket N   1 to 64 (default 16)
  --workload NAME        only workloads whose names contain this
  --messages N           per run (default 100000)
  --seed N               default 1
  --line-ns N            a line between two cores of one socket, in nanoseconds (default 50)
  --out FOLDER           write model.md, results.csv and charts there
  --quick                one small machine and few messages: some seconds
  --help";

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Run(Options),
    Help,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) sockets: Vec<usize>,
    pub(crate) cores_per_socket: usize,
    pub(crate) workload: String,
    pub(crate) messages: u64,
    pub(crate) seed: u64,
    pub(crate) line_ns: u64,
    pub(crate) out: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sockets: vec![2, 4, 8],
            cores_per_socket: 16,
            workload: String::new(),
            messages: 100_000,
            seed: 1,
            line_ns: 50,
            out: None,
        }
    }
}

pub(crate) fn parse(args: impl Iterator<Item = String>) -> Result<Wish, String> {
    let mut options = Options::default();
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--help" | "-h" => return Ok(Wish::Help),
            "--quick" => {
                options.sockets = vec![2];
                options.cores_per_socket = 4;
                options.messages = 10_000;
            }
            "--sockets" => {
                let list = value()?;
                options.sockets = list
                    .split(',')
                    .map(|one| number(&arg, one, 2, 8).map(|n| n as usize))
                    .collect::<Result<_, _>>()?;
                if let Some(odd) = options.sockets.iter().find(|n| !n.is_power_of_two()) {
                    return Err(format!("--sockets {odd}: must be 2, 4 or 8"));
                }
            }
            "--cores-per-socket" => {
                options.cores_per_socket = number(&arg, &value()?, 1, 64)? as usize;
            }
            "--workload" => options.workload = value()?,
            "--messages" => options.messages = number(&arg, &value()?, 1_000, 100_000_000)?,
            "--seed" => options.seed = number(&arg, &value()?, 0, u64::MAX)?,
            "--line-ns" => options.line_ns = number(&arg, &value()?, 1, 10_000)?,
            "--out" => options.out = Some(PathBuf::from(value()?)),
            other => return Err(format!("no option {other}")),
        }
    }
    Ok(Wish::Run(options))
}

fn number(option: &str, text: &str, min: u64, max: u64) -> Result<u64, String> {
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!(
            "{option} {text}: must be a number from {min} to {max}"
        )),
    }
}
