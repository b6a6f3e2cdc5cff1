//! tokio inside of actors: sockets, timers, `tokio::spawn`, with nothing to set up.
//!
//! `EchoServer` accepts connections in a task that it spawns; `Client` keeps a connection, sends lines and
//! waits for their echo in its handlers, gives up when the caller's deadline says so, and gets ticks from
//! a timer. An actor that awaits holds up nobody: its worker goes on with other actors.
//!
//! ```text
//! cargo run --example async_io
//! ```

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Owns a listening socket and the task that serves it.
#[derive(Actor, Default)]
#[actor(started = on_start, stopped = on_stop)]
struct EchoServer {
    address: Option<SocketAddr>,
    accepting: Option<JoinHandle<()>>,
}

impl EchoServer {
    async fn on_start(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        self.address = Some(listener.local_addr()?);
        self.accepting = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream));
            }
        }));
        Ok(())
    }

    async fn on_stop(&mut self, _reason: &StopReason, _cx: &mut ActorContext<Self>) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
    }
}

#[messages]
impl EchoServer {
    #[message]
    fn address(&self) -> Option<SocketAddr> {
        self.address
    }
}

/// Sends lines back; `slow` ones after a second.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        if line == "slow" {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        writer.write_all(format!("{line}\n").as_bytes()).await?;
    }
    Ok(())
}

/// One connection to the server.
#[derive(Actor)]
struct Client {
    server: SocketAddr,
    /// Taken out for the time of an exchange, put back if it ended well.
    connection: Option<BufReader<TcpStream>>,
    ticks: u32,
    ticking: Option<JoinHandle<()>>,
}

impl Client {
    const fn new(server: SocketAddr) -> Self {
        Self {
            server,
            connection: None,
            ticks: 0,
            ticking: None,
        }
    }
}

#[messages]
impl Client {
    /// The line as it comes back.
    #[message]
    async fn echo(
        &mut self,
        line: &'static str,
        cx: &mut ActorContext<Self>,
    ) -> io::Result<String> {
        let (server, connection) = (self.server, self.connection.take());
        let exchange = async move {
            let mut connection = match connection {
                Some(connection) => connection,
                None => BufReader::new(TcpStream::connect(server).await?),
            };
            connection.write_all(format!("{line}\n").as_bytes()).await?;
            let mut answer = String::new();
            connection.read_line(&mut answer).await?;
            io::Result::Ok((answer.trim_end().to_owned(), connection))
        };
        let patience = cx.remaining().unwrap_or(Duration::from_secs(60));
        // Out of time, the connection is dropped with the exchange: a late echo cannot answer the next line.
        let (answer, connection) = tokio::time::timeout(patience, exchange).await??;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// Sends itself a tick now and then, from a task.
    #[message]
    fn start_ticking(&mut self, every: Duration, cx: &ActorContext<Self>) {
        let me = cx.actor_ref();
        let ticking = tokio::spawn(async move {
            let mut interval = tokio::time::interval(every);
            // The first tick of an interval is at once.
            interval.tick().await;
            loop {
                interval.tick().await;
                match me.tell(Tick) {
                    // A full mailbox: this tick is left out.
                    Ok(()) | Err(SendError::Full { .. }) => {}
                    Err(_) => break,
                }
            }
        });
        if let Some(before) = self.ticking.replace(ticking) {
            before.abort();
        }
    }

    #[message]
    fn tick(&mut self) {
        self.ticks += 1;
    }

    /// Stops the timer; how often it fired.
    #[message]
    fn stop_ticking(&mut self) -> u32 {
        if let Some(ticking) = self.ticking.take() {
            ticking.abort();
        }
        self.ticks
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = ActorSystem::new()?;
    let ms = Duration::from_millis;
    let server = system.spawn(EchoServer::default)?;
    let address = server
        .address()
        .blocking()?
        .ok_or("the server has no address")?;
    println!("an actor listens on {address}");

    system.block_on(async {
        let client = system.spawn(Client::new(address))?;
        client.start_ticking(ms(10)).await?;
        println!("echo of one line: {:?}", client.echo("hello").await??);

        let late = client.echo("slow").within(ms(50)).await;
        match late {
            // Whoever looks at the clock first, the handler or the caller.
            Ok(Err(error)) => println!("a slow echo, 50 ms: the handler gave up: {error}"),
            Err(error) => println!("a slow echo, 50 ms: {error}"),
            Ok(Ok(echo)) => return Err(format!("{echo} came back within 50 ms").into()),
        }
        println!("and then: {:?}", client.echo("still here").await??);

        let began = Instant::now();
        let clients: Vec<_> = (0..100)
            .map(|_| system.spawn(Client::new(address)))
            .collect::<Result<_, _>>()?;
        let calls: Vec<_> = clients
            .iter()
            .map(|client| tokio::spawn(client.echo("slow").into_future()))
            .collect();
        for call in calls {
            call.await???;
        }
        println!(
            "100 clients, 1 s each, on {} worker(s): all done after {:.1?}",
            system.seats().len(),
            began.elapsed()
        );
        println!("ticks meanwhile: {}", client.stop_ticking().await?);
        Ok::<(), Box<dyn Error>>(())
    })?;

    let report = system.shutdown_blocking(Duration::from_secs(5));
    println!("\n{report}");
    assert!(report.conservation.holds_at_rest());
    Ok(())
}
