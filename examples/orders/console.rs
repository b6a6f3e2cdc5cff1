//! The options of the console, for examples that have one.

use std::net::SocketAddr;
use std::path::PathBuf;

use actor_core::prelude::*;
use actor_core::trace::TracingOptions;
use actor_net::cluster::Cluster;
use actor_net::console::{Console, ConsoleError};

#[derive(Debug, clap::Args)]
pub(crate) struct ConsoleOptions {
    /// Show what goes on: a page, JSON and metrics [default address: 127.0.0.1:9600; port 0 takes a free one]
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, require_equals = true,
        default_missing_value = "127.0.0.1:9600")]
    pub(crate) console: Option<SocketAddr>,

    /// A file with the token that the console asks for, 16 characters or more; needed beyond loopback
    #[arg(long, value_name = "FILE", requires = "console")]
    console_token_file: Option<PathBuf>,

    /// Let the console change something: stop actors, declare peers down
    #[arg(long, requires = "console")]
    console_actions: bool,
}

impl ConsoleOptions {
    /// One trace in a hundred is recorded where somebody may look at it.
    pub(crate) fn tracing(&self) -> TracingOptions {
        let share = if self.console.is_some() { 0.01 } else { 0.0 };
        TracingOptions::new().sample(share)
    }

    /// Starts it, if it is wanted, and says where it is.
    pub(crate) fn start(
        &self,
        system: &SystemRef,
        cluster: Option<&Cluster>,
    ) -> Result<Option<Console>, ConsoleError> {
        let Some(address) = self.console else {
            return Ok(None);
        };
        let mut builder = Console::builder(system)
            .listen(address)
            .allow_actions(self.console_actions);
        if let Some(cluster) = cluster {
            builder = builder.cluster(cluster);
        }
        if let Some(path) = &self.console_token_file {
            builder = builder.token_file(path);
        }
        let console = builder.start()?;
        println!("console: {}", console.url());
        Ok(Some(console))
    }
}
