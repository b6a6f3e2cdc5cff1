//! Would it pay? The runtime's scheduler, lanes' rule, placement and balancer on machines that are not here: two to
//! eight sockets, up to 512 cores, every cache line of a message counted.
//!
//! `cargo run --release -p benches --bin numa_model -- --out docs/numa` writes what docs/numa.md shows.
//! What is assumed is printed first. It says how many lines cross and what follows from that, not what a real
//! machine does: see "Where it is wrong" in docs/numa/model.md.

mod balance;
mod charts;
mod crossing;
mod engine;
mod lane;
mod lines;
mod machine;
mod options;
mod policy;
mod random;
mod report;
mod result;
mod slab;
mod workload;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(options::Wish::Run(options)) => options,
        Ok(options::Wish::Help) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("numa_model: {why}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match report::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("numa_model: {why}");
            ExitCode::FAILURE
        }
    }
}
