//! The story: peers start, share the orders, are asked for them; one is killed, the others take over, and at the end
//! the books of all are looked at.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use actor_core::termination;
use tokio::sync::mpsc;

use crate::Options;
use crate::books::{self, Account, grouped};
use crate::keys::Keys;
use crate::peer::{line_of, since};
use crate::process::{Heard, Process};
use crate::talk::{Books, Ended, Order, Sight, Swept, Tally, Word};

const NAMES: [&str; 9] = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];
/// For anything that takes a second or some on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Into which all orders are cut: the default of a kind of entities.
const SHARDS: usize = 256;
const SECOND: Duration = Duration::from_secs(1);
/// What a peer may take to leave, and to end after that.
const LEAVES_WITHIN: Duration = Duration::from_secs(30);
/// Without a failure for so long, all is well again.
const QUIET: Duration = Duration::from_millis(1500);
/// ... and when that does not come within this, the story goes on: the books are what counts.
const ENOUGH: Duration = Duration::from_secs(30);

pub(crate) fn run(options: &Options, orders: usize) -> Result<ExitCode, Box<dyn Error>> {
    let peers = options.peers.map_or(3, usize::from);
    let Some(names) = NAMES.get(..peers).filter(|names| names.len() >= 3) else {
        return Err(format!(
            "--peers {peers}: 3 to {} can be started; one is killed, and the rest must be a majority",
            NAMES.len()
        )
        .into());
    };
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut story = Story::new(options, names)?;
        let ended = tokio::select! {
            told = story.tell(orders) => told.map(Some),
            signal = termination() => {
                println!("{}: all peers leave", signal?);
                Ok(None)
            }
        };
        story.close().await?;
        match ended? {
            Some(true) => Ok(ExitCode::SUCCESS),
            Some(false) | None => Ok(ExitCode::FAILURE),
        }
    })
}

struct Story<'a> {
    options: &'a Options,
    keys: Keys,
    peers: Vec<Peer>,
    heard: mpsc::UnboundedReceiver<(usize, Heard)>,
    tell: mpsc::UnboundedSender<(usize, Heard)>,
    began: Instant,
    /// When an ask last failed, of those that were told of.
    failed_at: Option<Instant>,
    /// What had come of all asks when that was last printed, and when it is printed next.
    printed: Tally,
    print_at: Option<Instant>,
}

/// One of the peers, as far as it was heard.
struct Peer {
    name: String,
    process: Option<Process>,
    listens: Option<SocketAddr>,
    sight: Sight,
    tally: Tally,
    swept: Option<Swept>,
    is_at_rest: bool,
    books: Option<Books>,
    ended: Option<Ended>,
    is_silent: bool,
    is_killed: bool,
    /// When it was last heard.
    heard_at: Instant,
}

impl Peer {
    fn new(name: String) -> Self {
        Self {
            name,
            process: None,
            listens: None,
            sight: Sight::default(),
            tally: Tally::default(),
            swept: None,
            is_at_rest: false,
            books: None,
            ended: None,
            is_silent: false,
            is_killed: false,
            heard_at: Instant::now(),
        }
    }
}

impl<'a> Story<'a> {
    fn new(options: &'a Options, names: Vec<String>) -> std::io::Result<Self> {
        let (tell, heard) = mpsc::unbounded_channel();
        Ok(Self {
            options,
            keys: Keys::make(&names)?,
            peers: names.into_iter().map(Peer::new).collect(),
            heard,
            tell,
            began: Instant::now(),
            failed_at: None,
            printed: Tally::default(),
            print_at: None,
        })
    }

    /// From the first peer to the last; whether the law holds.
    async fn tell(&mut self, orders: usize) -> Result<bool, Box<dyn Error>> {
        let all = self.peers.len();
        println!(
            "certificates for {all} peers in {}",
            self.keys.path().display()
        );
        self.start(0, None)?;
        self.until("the first peer listens", |peers| peers[0].listens.is_some())
            .await?;
        for number in 1..all {
            self.start(number, self.peers[0].listens)?;
        }
        self.until("all peers are up", |peers| {
            peers.iter().all(|peer| peer.sight.up() == all)
        })
        .await?;
        println!("{all} peers are up after {}:", self.so_far());
        self.print_views();

        self.shared_out().await?;
        let before = self.sweep(orders).await?;
        println!(
            "\n{} orders are placed after {}:",
            grouped(orders as u64),
            self.so_far()
        );
        print_owners(&before);

        let seconds = if self.options.quick { 1 } else { 2 };
        println!(
            "\neach peer asks {} times a second, for {} ms at most:",
            grouped(u64::from(self.options.rate)),
            self.options.deadline
        );
        self.tell_all(Order::Drive).await?;
        self.printed = self.total();
        self.print_at = Some(Instant::now() + SECOND);
        self.watch(Duration::from_secs(seconds)).await?;

        let killed = all - 1;
        let name = self.peers[killed].name.clone();
        println!("\n{name} is killed (SIGKILL):");
        self.peers[killed].is_killed = true;
        if let Some(process) = &mut self.peers[killed].process {
            process.kill().await?;
        }
        let killed_at = Instant::now();
        let silent_for = killed_at - self.peers[killed].heard_at;
        self.failed_at = None;
        for state in ["unreachable", "down"] {
            self.until(&format!("{name} is {state} for all others"), |peers| {
                let rest = peers.iter().filter(|peer| !peer.is_killed);
                rest.into_iter()
                    .all(|peer| [state, "down"].contains(&peer.sight.state_of(&name)))
            })
            .await?;
            println!(
                "  {name} is {state} {} after the kill:",
                seconds_of(killed_at.elapsed())
            );
            self.print_views();
        }
        self.until_quiet(killed_at).await?;
        self.print_at = None;
        self.tell_all(Order::Rest).await?;
        self.until("the peers rest", |peers| {
            peers.iter().all(|peer| peer.is_killed || peer.is_at_rest)
        })
        .await?;

        let after = self.sweep(orders).await?;
        println!(
            "\nall {} orders again, after {}:",
            grouped(orders as u64),
            self.so_far()
        );
        print_owners(&after);
        print_moves(&before, &after);

        self.settle().await?;
        println!("\nthe others leave, one after the other:");
        for number in 0..all {
            if !self.peers[number].is_killed {
                self.leave(number).await?;
            }
        }
        println!();
        Ok(self.print_books(killed, silent_for))
    }

    /// Until no ask fails any more.
    async fn until_quiet(&mut self, killed_at: Instant) -> Result<(), String> {
        let down_at = Instant::now();
        while down_at.elapsed() < ENOUGH {
            self.watch(Duration::from_millis(100)).await?;
            let failed_at = self.failed_at.unwrap_or(killed_at);
            if failed_at.max(down_at).elapsed() >= QUIET {
                let served_after = seconds_of(failed_at - killed_at);
                println!(
                    "the last failure was {served_after} after the kill: everything is served again"
                );
                return Ok(());
            }
        }
        println!("asks still fail now and then: is the machine busy with something else?");
        Ok(())
    }

    fn start(&mut self, number: usize, join: Option<SocketAddr>) -> std::io::Result<()> {
        let peer = &mut self.peers[number];
        let mut arguments: Vec<OsString> = Vec::new();
        let mut say = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        say("--listen", "127.0.0.1:0".into());
        say("--name", peer.name.clone().into());
        say("--ca", self.keys.authority().into());
        say("--cert", self.keys.certificate(&peer.name).into());
        say("--key", self.keys.key(&peer.name).into());
        say("--rate", self.options.rate.to_string().into());
        say("--deadline", self.options.deadline.to_string().into());
        say("--entities", self.options.entities().to_string().into());
        say("--input", self.options.input_path().into());
        if let Some(join) = join {
            say("--join", join.to_string().into());
        }
        arguments.push("--driven".into());
        peer.process = Some(Process::start(arguments, number, &self.tell)?);
        Ok(())
    }

    async fn tell_all(&mut self, order: Order) -> Result<(), String> {
        for peer in self.peers.iter_mut().filter(|peer| !peer.is_killed) {
            if let Some(process) = &mut peer.process {
                let told = process.tell(order).await;
                told.map_err(|error| format!("{} cannot be told: {error}", peer.name))?;
            }
        }
        Ok(())
    }

    /// Listens until it is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&[Peer]) -> bool) -> Result<(), String> {
        let all = self.listen(is_so);
        match tokio::time::timeout(PATIENCE, all).await {
            Ok(heard) => heard,
            Err(_) => {
                self.print_views();
                Err(format!("waited {PATIENCE:?} for: {what}"))
            }
        }
    }

    /// Listens for so long.
    async fn watch(&mut self, time: Duration) -> Result<(), String> {
        match tokio::time::timeout(time, self.listen(|_| false)).await {
            Ok(heard) => heard,
            Err(_) => Ok(()),
        }
    }

    async fn listen(&mut self, is_so: impl Fn(&[Peer]) -> bool) -> Result<(), String> {
        while !is_so(&self.peers) {
            let second = async {
                match self.print_at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // A sender is held here, so it does not end.
                Some((number, heard)) = self.heard.recv() => self.take(number, heard)?,
                () = second => self.print_second(),
            }
        }
        Ok(())
    }

    fn take(&mut self, number: usize, heard: Heard) -> Result<(), String> {
        let peer = &mut self.peers[number];
        match heard {
            Heard::Log(line) => println!("  {}: {line}", peer.name),
            Heard::Silence => {
                peer.is_silent = true;
                if !peer.is_killed && peer.ended.is_none() {
                    return Err(format!("{} has ended, and nobody asked for it", peer.name));
                }
            }
            Heard::Word(word) => {
                peer.heard_at = Instant::now();
                match word {
                    Word::Listens(addr) => peer.listens = Some(addr),
                    Word::Sees(sight) => peer.sight = sight,
                    Word::Asked(tally) => {
                        if tally.failures() > peer.tally.failures() && !peer.is_killed {
                            self.failed_at = Some(Instant::now());
                        }
                        peer.tally = tally;
                    }
                    Word::Rests(tally) => (peer.tally, peer.is_at_rest) = (tally, true),
                    Word::Swept(swept) => peer.swept = Some(swept),
                    Word::Books(books) => peer.books = Some(books),
                    Word::Ended(ended) => peer.ended = Some(ended),
                }
            }
        }
        Ok(())
    }

    fn print_second(&mut self) {
        let now = self.total();
        println!("  {}", line_of(&since(&self.printed, &now)));
        self.printed = now;
        // From now, not from when it was due: this process may have been held up.
        self.print_at = Some(Instant::now() + SECOND);
    }

    /// What came of all asks; of the killed one those that it told of.
    fn total(&self) -> Tally {
        let mut total = Tally::default();
        for peer in &self.peers {
            total.add(&peer.tally);
        }
        total
    }

    /// Waits until each peer has its share of the shards.
    async fn shared_out(&mut self) -> Result<(), String> {
        let all = self.peers.len();
        self.until("each peer has its share", |peers| {
            let shards = peers
                .iter()
                .map(|peer| peer.books.as_ref().map_or(0, |books| books.shards));
            let (least, sum) = (shards.clone().min(), shards.sum::<usize>());
            sum == SHARDS && least.is_some_and(|least| least >= SHARDS / all * 3 / 4)
        })
        .await
    }

    /// The first peer asks for every order.
    async fn sweep(&mut self, orders: usize) -> Result<Swept, Box<dyn Error>> {
        self.peers[0].swept = None;
        if let Some(process) = &mut self.peers[0].process {
            process.tell(Order::Sweep).await?;
        }
        self.until("every order is asked for", |peers| peers[0].swept.is_some())
            .await?;
        let swept = self.peers[0].swept.take().unwrap_or_default();
        match swept.by.iter().filter(|by| by.is_none()).count() {
            0 if swept.by.len() == orders => Ok(swept),
            missing => Err(format!("{missing} of {orders} orders were not served in time").into()),
        }
    }

    /// Waits for the last figures: nothing is asked any more, so they come to rest.
    async fn settle(&mut self) -> Result<(), String> {
        for peer in &mut self.peers {
            peer.is_at_rest = false;
            if !peer.is_killed {
                peer.books = None;
            }
        }
        self.tell_all(Order::Rest).await?;
        let at_rest = |peer: &Peer| {
            let wire = peer.books.as_ref().map(|books| books.wire);
            peer.is_at_rest && wire.is_some_and(|wire| wire.is_balanced())
        };
        let all = self.listen(|peers| peers.iter().all(|peer| peer.is_killed || at_rest(peer)));
        // If they do not, the books will say so.
        tokio::time::timeout(PATIENCE, all).await.unwrap_or(Ok(()))
    }

    async fn leave(&mut self, number: usize) -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        if let Some(process) = &mut self.peers[number].process {
            process.tell(Order::Leave).await?;
        }
        let what = format!("{} leaves", self.peers[number].name);
        self.until(&what, |peers| {
            peers[number].ended.is_some() && peers[number].is_silent
        })
        .await?;
        let peer = &mut self.peers[number];
        if let Some(mut process) = peer.process.take() {
            let status = process.end(LEAVES_WITHIN).await?;
            println!(
                "  {} has left, in {}: {status}",
                peer.name,
                seconds_of(began.elapsed())
            );
        }
        Ok(())
    }

    /// Nobody is left behind, however the story ended.
    async fn close(&mut self) -> std::io::Result<()> {
        for process in self
            .peers
            .iter_mut()
            .filter_map(|peer| peer.process.as_mut())
        {
            process.let_go();
        }
        // Their pipes must not fill meanwhile; what comes over them is read, and of no interest.
        for process in self
            .peers
            .iter_mut()
            .filter_map(|peer| peer.process.as_mut())
        {
            process.end(LEAVES_WITHIN).await?;
        }
        Ok(())
    }

    fn print_views(&self) {
        for peer in self.peers.iter().filter(|peer| !peer.is_killed) {
            println!("    {:5} sees: {}", peer.name, peer.sight);
        }
    }

    fn so_far(&self) -> String {
        seconds_of(self.began.elapsed())
    }

    fn print_books(&self, killed: usize, silent_for: Duration) -> bool {
        let accounts: Vec<_> = self
            .peers
            .iter()
            .map(|peer| Account {
                name: &peer.name,
                tally: &peer.tally,
                books: peer.books.clone().unwrap_or_default(),
                ended: peer.ended.as_ref(),
            })
            .collect();
        let verdict = books::close(&accounts, killed, silent_for);
        println!("{}\ntook {} in all", verdict.text, self.so_far());
        verdict.holds
    }
}

fn seconds_of(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Who has how many.
fn print_owners(swept: &Swept) {
    let mut owners: BTreeMap<&str, u64> = BTreeMap::new();
    for order in 0..swept.by.len() {
        *owners
            .entry(swept.who(order).unwrap_or("nobody"))
            .or_default() += 1;
    }
    let each: Vec<_> = owners
        .iter()
        .map(|(who, n)| format!("{who} has {}", grouped(*n)))
        .collect();
    println!("  {}", each.join(", "));
    if swept.failures > 0 {
        println!(
            "  {} asks failed meanwhile and were repeated",
            grouped(swept.failures)
        );
    }
}

/// What is elsewhere now.
fn print_moves(before: &Swept, after: &Swept) {
    let mut moves: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for order in 0..after.by.len() {
        if let (Some(from), Some(to)) = (before.who(order), after.who(order))
            && from != to
        {
            *moves.entry((from, to)).or_default() += 1;
        }
    }
    for ((from, to), n) in moves {
        println!("  {} moved from {from} to {to}", grouped(n));
    }
}
