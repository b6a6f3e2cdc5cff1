//! How to test actors of your own: a file to copy from.
//!
//! The subject is a small client that fetches pages from a slow server, tries again with a pause when
//! that fails, and gives up after three times.

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::testkit::{Fault, Hook, Probe, Seeds, Simulation, for_each_seed};

// The actor under test. It knows the server and its reader as recipients and references only.

struct Client {
    server: ActorRef<Server>,
    reader: Recipient<News>,
}

#[derive(Debug, PartialEq)]
enum News {
    Page(u32),
    GaveUp,
}

impl Message for News {
    type Reply = ();
}

struct Fetch(u32);

impl Message for Fetch {
    type Reply = ();
}

impl Actor for Client {}

impl Handler<Fetch> for Client {
    async fn handle(&mut self, Fetch(page): Fetch, _cx: &mut ActorContext<Self>) {
        for attempt in 1..=3 {
            let asked = self.server.ask(Get(page)).within(Duration::from_secs(2));
            if let Ok(page) = asked.await {
                let _ = self.reader.tell(News::Page(page));
                return;
            }
            tokio::time::sleep(Duration::from_secs(attempt)).await;
        }
        let _ = self.reader.tell(News::GaveUp);
    }
}

struct Server {
    takes: Duration,
}

struct Get(u32);

impl Message for Get {
    type Reply = u32;
}

impl Actor for Server {}

impl Handler<Get> for Server {
    async fn handle(&mut self, Get(page): Get, _cx: &mut ActorContext<Self>) -> u32 {
        tokio::time::sleep(self.takes).await;
        page
    }
}

fn client(sim: &Simulation, takes: Duration) -> (ActorRef<Client>, ActorRef<Server>, Probe<News>) {
    let reader = Probe::new(sim);
    let server = sim.spawn(move || Server { takes }).unwrap();
    let news = reader.recipient();
    let client = sim
        .spawn(Client {
            server,
            reader: news,
        })
        .unwrap();
    (client, server, reader)
}

#[test]
fn a_page_comes_when_the_server_is_done() {
    let sim = Simulation::new(1);
    let (client, _, reader) = client(&sim, Duration::from_millis(1500));
    client.tell(Fetch(7)).unwrap();
    reader.expect_no_msg(Duration::from_millis(1499));
    reader.expect_msg_eq(News::Page(7));
    assert_eq!(sim.now(), Duration::from_millis(1500));
    sim.check_law();
}

#[test]
fn it_gives_up_after_three_timeouts() {
    let sim = Simulation::new(1);
    let (client, _, reader) = client(&sim, Duration::from_secs(600));
    client.tell(Fetch(7)).unwrap();
    // Three times two seconds of patience, and pauses of one, two and three.
    assert_eq!(
        reader.expect_msg_within(Duration::from_secs(12)),
        News::GaveUp
    );
    assert_eq!(sim.now(), Duration::from_secs(12));
}

#[test]
fn a_crash_of_the_server_is_tried_again() {
    let sim = Simulation::new(1);
    let (client, server, reader) = client(&sim, Duration::from_millis(10));
    sim.inject(Fault::panic_in(Hook::Handler).of(server).after_await());
    client.tell(Fetch(7)).unwrap();
    reader.expect_msg_eq(News::Page(7));
    assert_eq!(sim.faults_struck(), 1);
    assert_eq!(sim.stats().actors.restarts, 1);
    assert!(sim.shutdown(Duration::from_secs(5)).is_clean());
}

#[test]
fn every_page_is_answered_once_in_whatever_order() {
    for_each_seed(Seeds::first(200), |seed| {
        let sim = Simulation::new(seed);
        let (client, _, reader) = client(&sim, Duration::from_millis(100));
        sim.inject(
            Fault::panic_in(Hook::Handler)
                .of_type::<Server>()
                .chance(0.05),
        );
        for page in 0..10 {
            client.tell(Fetch(page)).unwrap();
        }
        sim.run_for(Duration::from_secs(300));
        let pages = reader.take_all();
        assert_eq!(pages.len(), 10, "{pages:?}");
        sim.check_law();
    });
}

/// The same on real threads, with real time: keep such tests few.
#[test]
fn it_works_on_real_threads() {
    let system = ActorSystem::new().unwrap();
    let reader = Probe::<News>::new(&system);
    let takes = Duration::from_millis(1);
    let server = system.spawn(move || Server { takes }).unwrap();
    let news = reader.recipient();
    let client = system
        .spawn(Client {
            server,
            reader: news,
        })
        .unwrap();
    client.tell(Fetch(7)).unwrap();
    reader.expect_msg_eq(News::Page(7));
    let report = system.shutdown_blocking(Duration::from_secs(5));
    assert!(report.conservation.holds_at_rest(), "{report}");
}
