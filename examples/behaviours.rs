//! What an actor can do besides answering at once: put messages aside, answer later, set timers, block
//! elsewhere, go on when something is ready, read a stream, publish events.
//!
//! A kitchen opens when it has read its menu; whoever orders before that waits, and does not notice. A meal
//! takes a while, and is handed out when it is done. A waiter reads the guests' orders from a stream, with
//! as many meals in the oven as there are orders. A board hears of every meal that is served.
//!
//! ```text
//! cargo run --example behaviours
//! ```

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant};

use actor_core::BlockingError;
use actor_core::prelude::*;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

const COOKING: Duration = Duration::from_millis(30);

/// Told to whoever subscribed; each gets a copy.
#[derive(Clone, Message)]
struct Served {
    dish: String,
}

#[derive(Debug)]
struct NotOnTheMenu;

#[derive(Actor)]
#[actor(started = on_start, stash = 100)]
struct Kitchen {
    /// Empty as long as the kitchen is not open.
    menu: Vec<String>,
    oven: VecDeque<Cooking>,
    served: EventBus<Served>,
}

/// A meal, and the right to answer who has ordered it.
struct Cooking {
    dish: String,
    since: Instant,
    reply: Reply<Result<String, NotOnTheMenu>>,
}

impl Kitchen {
    async fn on_start(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        // Blocks a thread that is there for it. The kitchen goes on, and gets what came of it as a message.
        let reading = cx.blocking(|| {
            std::thread::sleep(Duration::from_millis(20)); // a slow disk
            ["soup", "bread", "fish"].map(str::to_owned).to_vec()
        });
        cx.pipe_to_self(reading, |menu| Open { menu })?;
        // One tick waits at most; what a busy kitchen misses is skipped. It ends with this life of the actor.
        cx.send_interval(Duration::from_millis(5), || LookIntoOven);
        // Another timer under this key takes the place of this one.
        cx.set_timer("closing time", Duration::from_secs(3600), Close);
        Ok(())
    }

    fn is_open(&self) -> bool {
        !self.menu.is_empty()
    }
}

#[messages]
impl Kitchen {
    #[message]
    fn open(&mut self, menu: Result<Vec<String>, BlockingError>, cx: &mut ActorContext<Self>) {
        match menu {
            Ok(menu) => {
                self.menu = menu;
                println!("the kitchen opens, {} waiting", cx.unstash_all());
            }
            Err(error) => cx.fail(error), // its supervisor decides
        }
    }

    /// Put aside while `is_open` says no, and answered when the meal is done.
    #[message(deferred, when = is_open)]
    fn order(&mut self, dish: String, reply: Reply<Result<String, NotOnTheMenu>>) {
        if self.menu.contains(&dish) {
            let since = Instant::now();
            self.oven.push_back(Cooking { dish, since, reply });
        } else {
            reply.send(Err(NotOnTheMenu));
        }
    }

    #[message]
    fn look_into_oven(&mut self) {
        let is_done = |meal: &&Cooking| meal.since.elapsed() >= COOKING;
        let done = self.oven.iter().take_while(is_done).count();
        for meal in self.oven.drain(..done) {
            meal.reply.send(Ok(format!("hot {}", meal.dish)));
            // Never waits: a board whose mailbox is full would miss this one.
            self.served.publish(Served { dish: meal.dish });
        }
    }

    #[message]
    fn close_in(&mut self, time: Duration, cx: &mut ActorContext<Self>) {
        cx.set_timer("closing time", time, Close);
    }

    #[message]
    fn close(&mut self, cx: &mut ActorContext<Self>) {
        cx.stop();
    }
}

/// Reads orders and takes them to the kitchen.
#[derive(Actor)]
#[actor(started = on_start)]
struct Waiter {
    kitchen: ActorRef<Kitchen>,
    ordered: u32,
    brought: u32,
    refused: u32,
    /// No more guests.
    is_over: bool,
    waiting: Vec<Reply<(u32, u32)>>,
}

impl Waiter {
    async fn on_start(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        // A socket, say. The next line is read when the message of the one before was handled.
        let lines = FramedRead::new(&b"soup\nbread\ncake\nsoup\nfish"[..], LinesCodec::new());
        cx.attach_stream_then(
            lines,
            |line| Guest { line },
            |waiter, _cx| {
                waiter.is_over = true;
                waiter.tell_if_done();
            },
        )?;
        Ok(())
    }

    fn tell_if_done(&mut self) {
        if self.is_over && self.brought + self.refused == self.ordered {
            for reply in self.waiting.drain(..) {
                reply.send((self.brought, self.refused));
            }
        }
    }
}

#[messages]
impl Waiter {
    #[message]
    fn guest(&mut self, line: Result<String, LinesCodecError>, cx: &mut ActorContext<Self>) {
        let Ok(dish) = line else {
            return cx.fail("the guests cannot be understood");
        };
        self.ordered += 1;
        // The next guest is served while this one's meal is in the oven.
        let order = cx.ask_then(self.kitchen.order(dish), |waiter, meal, _cx| {
            match meal {
                Ok(Ok(_hot)) => waiter.brought += 1,
                Ok(Err(NotOnTheMenu)) | Err(_) => waiter.refused += 1,
            }
            waiter.tell_if_done();
        });
        if let Err(too_many) = order {
            cx.fail(too_many);
        }
    }

    /// How many meals were brought and refused, when all guests have been there.
    #[message(deferred)]
    fn finished(&mut self, reply: Reply<(u32, u32)>) {
        self.waiting.push(reply);
        self.tell_if_done();
    }
}

/// Hears of what is served.
#[derive(Actor, Default)]
struct Board {
    dishes: Vec<String>,
}

impl SyncHandler<Served> for Board {
    fn handle(&mut self, Served { dish }: Served, _cx: &mut ActorContext<Self>) {
        self.dishes.push(dish);
    }
}

#[messages]
impl Board {
    /// Has `&mut self` on a thread that may block; this actor's other messages wait, and no worker does.
    #[message(blocking)]
    fn print(&mut self) -> Vec<String> {
        std::thread::sleep(Duration::from_millis(20)); // an old printer
        self.dishes.sort();
        std::mem::take(&mut self.dishes)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let system = ActorSystem::new()?;
    let served = EventBus::new();
    let board = system.spawn(Board::default())?;
    served.subscribe(board);

    let bus = served.clone();
    let kitchen = system.spawn(move || Kitchen {
        menu: Vec::new(),
        oven: VecDeque::new(),
        served: bus.clone(),
    })?;
    // It is not open yet: the message is put aside, and this thread waits for the reply as for any other.
    let early = kitchen.order("soup".to_owned()).blocking()?;
    println!("the early guest got {early:?}");

    let waiter = system.spawn(move || Waiter {
        kitchen,
        ordered: 0,
        brought: 0,
        refused: 0,
        is_over: false,
        waiting: Vec::new(),
    })?;
    let (brought, refused) = waiter.finished().blocking()?;
    println!("the waiter brought {brought} meals; {refused} not on the menu");
    assert_eq!((brought, refused), (4, 1));

    kitchen.close_in(Duration::from_millis(10)).blocking()?;
    let why = system.block_on(kitchen.terminated());
    println!("the kitchen has closed: {why}");

    let dishes = board.print().blocking()?;
    println!("on the board: {}", dishes.join(", "));
    assert_eq!(dishes, ["bread", "fish", "soup", "soup", "soup"]);

    let report = system.shutdown_blocking(Duration::from_secs(5));
    println!("\n{report}");
    assert!(report.conservation.holds_at_rest());
    Ok(())
}
