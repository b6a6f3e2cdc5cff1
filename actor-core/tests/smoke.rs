//! smoke
use actor_core::prelude::*;
use std::time::Duration;

struct Counter(u64);
impl Actor for Counter {}
struct Add(u64);
impl Message for Add {
    type Reply = u64;
}
impl SyncHandler<Add> for Counter {
    fn handle(&mut self, Add(n): Add, _cx: &mut ActorContext<Self>) -> u64 {
        if n == 13 {
            panic!("unlucky")
        }
        self.0 += n;
        self.0
    }
}
struct Slow(u64);
impl Message for Slow {
    type Reply = u64;
}
impl Handler<Slow> for Counter {
    async fn handle(&mut self, Slow(n): Slow, _cx: &mut ActorContext<Self>) -> u64 {
        tokio::time::sleep(Duration::from_millis(n)).await;
        self.0
    }
}

#[test]
fn it_works() {
    let system = ActorSystem::new().unwrap();
    let counter = system.spawn(|| Counter(0)).unwrap();
    for _ in 0..1000 {
        counter.tell(Add(1)).unwrap();
    }
    let n = counter.ask_blocking(Add(0)).unwrap();
    assert_eq!(n, 1000);
    assert_eq!(counter.ask_blocking(Slow(20)).unwrap(), 1000);
    let e = counter.ask_blocking(Add(13)).unwrap_err();
    println!("{e}");
    assert_eq!(counter.ask_blocking(Add(1)).unwrap(), 1);
    let e = counter
        .ask(Slow(500))
        .within(Duration::from_millis(20))
        .blocking()
        .unwrap_err();
    println!("{e}");
    println!("{}", system.stats());
    let r = system.shutdown_blocking(Duration::from_secs(2));
    println!("{r}");
    assert!(r.is_clean());
    assert!(r.conservation.holds_at_rest());
}
