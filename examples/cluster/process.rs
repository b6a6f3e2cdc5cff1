//! The peers as processes: started, told, heard, killed.
//!
//! None is left behind: a peer leaves when its standard input ends, as it does when this process ends in any way, and
//! each is killed when its [`Process`] is dropped. Ctrl-C goes to this process only, which then tells the others.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::UnboundedSender;

use crate::talk::{Order, Word};

/// What was heard of a peer.
#[derive(Debug)]
pub(crate) enum Heard {
    Word(Word),
    /// A line that it has logged, or that is no word.
    Log(String),
    /// It says nothing any more.
    Silence,
}

/// A peer's process. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Process {
    /// Starts this program once more; what is heard of it comes with its number.
    pub(crate) fn start(
        arguments: Vec<OsString>,
        number: usize,
        tell: &UnboundedSender<(usize, Heard)>,
    ) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Of its own: Ctrl-C would kill all of them in the middle of what they do.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let orders = child.stdin.take();
        if let (Some(out), Some(log)) = (child.stdout.take(), child.stderr.take()) {
            tokio::spawn(words(BufReader::new(out).lines(), number, tell.clone()));
            tokio::spawn(log_lines(BufReader::new(log).lines(), number, tell.clone()));
        }
        Ok(Self { child, orders })
    }

    /// Whether it could be told: one that has ended cannot.
    pub(crate) async fn tell(&mut self, order: Order) -> io::Result<()> {
        let Some(orders) = &mut self.orders else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let line = serde_json::to_string(&order).map_err(io::Error::other)? + "\n";
        orders.write_all(line.as_bytes()).await?;
        orders.flush().await
    }

    /// Nothing more will be told: it leaves, and ends.
    pub(crate) fn let_go(&mut self) {
        self.orders = None;
    }

    /// SIGKILL: it cannot do anything about it.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Waits for its end; kills it if that takes too long.
    pub(crate) async fn end(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        match tokio::time::timeout(patience, self.child.wait()).await {
            Ok(status) => status,
            Err(_) => {
                self.child.start_kill()?;
                self.child.wait().await
            }
        }
    }
}

async fn words<R: AsyncRead + Unpin>(
    mut lines: Lines<BufReader<R>>,
    number: usize,
    tell: UnboundedSender<(usize, Heard)>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        let heard = serde_json::from_str(&line).map_or(Heard::Log(line), Heard::Word);
        // Nobody listens when the story is over.
        _ = tell.send((number, heard));
    }
    _ = tell.send((number, Heard::Silence));
}

async fn log_lines<R: AsyncRead + Unpin>(
    mut lines: Lines<BufReader<R>>,
    number: usize,
    tell: UnboundedSender<(usize, Heard)>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        _ = tell.send((number, Heard::Log(line)));
    }
}
