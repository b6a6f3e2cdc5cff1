//! What cannot run on a thread that blocks, and that `blocking` stands alone.

use actor_core::{Actor, ActorContext, messages};

#[derive(Actor)]
struct Disk;

#[messages]
impl Disk {
    #[message(blocking)]
    async fn read(&mut self) {}

    #[message(blocking)]
    fn write(&mut self, _cx: &mut ActorContext<Self>) {}

    #[message(blocking = true)]
    fn sync(&mut self) {}

    #[message(blocking, blocking)]
    fn trim(&mut self) {}

    #[message(blocking, reentrant)]
    async fn seek(_this: actor_core::Reentrant<Self>) {}

    #[message(blocking, name = Wipe)]
    fn erase(&mut self, block: u64) -> u64 {
        block
    }
}

fn main() {}
