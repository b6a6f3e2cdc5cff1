//! A child that panics, the supervisor that restarts it, and the watcher that hears of the end.
//!
//! The worker fails whenever it meets an odd job. It is restarted with growing delays; jobs that wait
//! meanwhile are not lost. The fourth failure within 5 s is too much for the supervisor, which then
//! fails itself, and whoever watches it is told.
//!
//! ```text
//! cargo run --example supervision
//! ```

use std::error::Error;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use actor_core::prelude::*;

/// What happened, and when.
type Story = mpsc::Sender<String>;

/// Fails on odd jobs.
#[derive(Actor)]
#[actor(restart = transient, backoff = "50ms..400ms", started = on_start)]
struct Worker {
    story: Story,
}

impl Worker {
    async fn on_start(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        self.story.send(format!(
            "worker: a new life begins, same address {}",
            cx.id()
        ))?;
        Ok(())
    }
}

#[messages]
impl Worker {
    #[message]
    fn work(&mut self, job: u32) -> u32 {
        assert!(job.is_multiple_of(2), "job {job} is odd");
        job / 2
    }
}

/// Puts up with three failures in 5 s.
#[derive(Actor)]
#[actor(restart = temporary, intensity = 3, period = "5s")]
struct Boss {
    story: Story,
}

#[messages]
impl Boss {
    #[message]
    fn hire(&mut self, cx: &mut ActorContext<Self>) -> Result<ActorRef<Worker>, String> {
        let story = self.story.clone();
        cx.actor(move || Worker {
            story: story.clone(),
        })
        .name("worker")
        .spawn()
        .map_err(|error| error.to_string())
    }
}

/// Hears of the boss's end.
#[derive(Actor)]
#[actor(terminated = on_terminated)]
struct Watcher {
    story: Story,
    ended: mpsc::Sender<()>,
}

impl Watcher {
    async fn on_terminated(&mut self, who: Terminated, _cx: &mut ActorContext<Self>) {
        // `main` holds the other ends and waits for the second of these.
        let _ = self
            .story
            .send(format!("watcher: {} is gone: {}", who.actor, who.reason));
        let _ = self.ended.send(());
    }
}

#[messages]
impl Watcher {
    #[message]
    fn observe(&self, boss: ActorRef<Boss>, cx: &mut ActorContext<Self>) {
        cx.watch(boss);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let (story, told) = mpsc::channel();
    let (end, ended) = mpsc::channel();
    let tell = move |line: &str| println!("{:>4} ms  {line}", began.elapsed().as_millis());
    // One line per panic instead of a message and a backtrace: they are part of the story.
    let panics = story.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>();
        let _ = panics.send(format!(
            "worker: panics: {}",
            text.map_or("?", String::as_str)
        ));
    }));

    let system = ActorSystem::new()?;
    let watcher = system.spawn({
        let story = story.clone();
        move || Watcher {
            story: story.clone(),
            ended: end.clone(),
        }
    })?;
    let boss = system.spawn(Boss { story })?;
    watcher.observe(boss).blocking()?;
    let worker = boss.hire().blocking()??;

    for job in [10, 11, 20, 21, 30, 31, 40, 41] {
        let outcome = match worker.work(job).blocking() {
            Ok(half) => format!("main: job {job} is done: {half}"),
            Err(error) => format!("main: job {job} is not: {error}"),
        };
        told.try_iter().for_each(|line| tell(&line));
        tell(&outcome);
    }
    // The watcher is told by another worker: its line may have come already, or be still on its way.
    ended.recv_timeout(Duration::from_secs(60))?;
    told.try_iter().for_each(|line| tell(&line));
    let refused = worker
        .work(50)
        .blocking()
        .expect_err("it stopped with its boss");
    tell(&format!("main: job 50 is not: {refused}"));

    let stats = system.stats().actors;
    println!("\n{} restarts, {} panics", stats.restarts, stats.panics);
    let report = system.shutdown_blocking(Duration::from_secs(5));
    println!("{report}");
    assert!(report.conservation.holds_at_rest());
    Ok(())
}
