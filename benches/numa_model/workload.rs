//! Who talks to whom: seven shapes, closed loops all of them, so that no mailbox grows without end.
//!
//! Each has a fixed number of messages under way; a handler that gets one sends the next. Actors come in
//! groups: a group is what one parent spawns (its children inherit its NUMA node), or what shares a key.

use crate::random::Random;

/// A shape and its size.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// One sentence for the report.
    pub(crate) about: &'static str,
    kind: Kind,
    pub(crate) actors: usize,
    /// By actor.
    pub(crate) group: Vec<u32>,
    /// Lines of state that a message touches.
    pub(crate) state_lines: usize,
    /// Nanoseconds of a handler's own work.
    pub(crate) work: u64,
    /// Groups fall on NUMA nodes by `Placement::Key`; otherwise in turn.
    pub(crate) by_key: bool,
    /// For bipartite: running sums of the servers' popularity.
    popularity: Vec<f64>,
    /// For fan-in: messages of each sender since its last credit.
    unanswered: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Within the group with that probability in percent, else to anybody.
    Communities { size: usize, within: u32 },
    /// To the next of the group.
    Ring { size: usize, under_way: usize },
    /// Everybody to actor 0, so many at a time, for a credit each time.
    FanIn { burst: u32 },
    /// Everybody to actor 0, as fast as possible, so many bursts each.
    Flood { burst: u32, bursts: u32 },
    /// Four fronts and four shards per group; a front asks its group's shards so often.
    Service { within: u32 },
    /// The first ones are servers.
    Bipartite { servers: usize },
}

/// What a message is to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Token,
    Request,
    Reply,
}

/// One message to be sent: to whom, and what it is.
pub(crate) type Send = (usize, Sort);

const SERVICE_GROUP: usize = 8;

impl Workload {
    fn new(name: &'static str, about: &'static str, kind: Kind, group: Vec<u32>) -> Self {
        Self {
            name,
            about,
            kind,
            actors: group.len(),
            unanswered: vec![0; group.len()],
            group,
            state_lines: 4,
            work: 100,
            by_key: false,
            popularity: Vec::new(),
        }
    }

    /// All, for so many cores.
    pub(crate) fn all(cores: usize) -> Vec<Self> {
        let groups = |groups: usize, size: usize| -> Vec<u32> {
            (0..groups * size).map(|i| (i / size) as u32).collect()
        };
        let communities = Kind::Communities {
            size: 16,
            within: 95,
        };
        let data = Self {
            state_lines: 64,
            work: 500,
            ..Self::new(
                "communities with 4 KiB",
                "as communities; each message touches 4 KiB of its actor's state",
                communities,
                groups(cores, 16),
            )
        };
        let service = Self {
            by_key: true,
            state_lines: 16,
            ..Self::new(
                "service",
                "4 fronts and 4 shards per tenant; 90 % of the requests stay with the tenant, each is answered",
                Kind::Service { within: 90 },
                groups(cores, SERVICE_GROUP),
            )
        };
        let servers = (cores * 2).max(8);
        let mut bipartite = Self::new(
            "clients and servers",
            "7 clients per server; servers are chosen by popularity (Zipf, s = 1)",
            Kind::Bipartite { servers },
            (0..servers * 8).map(|i| i as u32).collect(),
        );
        let mut sum = 0.0;
        for rank in 1..=servers {
            sum += 1.0 / rank as f64;
            bipartite.popularity.push(sum);
        }
        let single = |i: usize| i as u32;
        vec![
            Self::new(
                "communities",
                "16 actors each; 95 % of the messages stay in the community",
                communities,
                groups(cores, 16),
            ),
            data,
            Self::new(
                "pairs",
                "two actors, one message to and fro",
                Kind::Ring {
                    size: 2,
                    under_way: 1,
                },
                groups(cores * 4, 2),
            ),
            Self::new(
                "pipelines",
                "16 stages, 8 items under way in each",
                Kind::Ring {
                    size: 16,
                    under_way: 8,
                },
                groups(cores, 16),
            ),
            service,
            bipartite,
            Self::fan_in(16),
            Self::flood(16, 200),
            Self::new(
                "no locality",
                "every message to anybody: the worst case",
                Kind::Communities { size: 1, within: 0 },
                (0..cores * 16).map(single).collect(),
            ),
        ]
    }

    /// 64 senders to one.
    pub(crate) fn fan_in(burst: u32) -> Self {
        Self {
            state_lines: 1,
            work: 20,
            ..Self::new(
                "64 to one, credits",
                "64 senders spread over all NUMA nodes, bursts of 16 to one receiver, a credit back for each",
                Kind::FanIn { burst },
                (0..65).collect(),
            )
        }
    }

    /// 64 senders to one, without anything that slows them down.
    pub(crate) fn flood(burst: u32, bursts: u32) -> Self {
        Self {
            state_lines: 1,
            work: 20,
            ..Self::new(
                "64 to one, flood",
                "64 senders spread over all NUMA nodes, as fast as they can, until each has sent its share",
                Kind::Flood { burst, bursts },
                (0..65).collect(),
            )
        }
    }

    /// Ends by itself, and is measured from the first message to the last.
    pub(crate) fn ends(&self) -> bool {
        matches!(self.kind, Kind::Flood { .. })
    }

    /// The messages that set it going.
    pub(crate) fn start(&self, random: &mut Random) -> Vec<Send> {
        match self.kind {
            Kind::Communities { .. } => (0..self.actors)
                .filter(|actor| actor % 2 == 0)
                .map(|actor| (actor, Sort::Token))
                .collect(),
            Kind::Ring { size, under_way } => (0..self.actors / size)
                .flat_map(|ring| {
                    let first = random.below(size);
                    (0..under_way).map(move |i| {
                        (
                            ring * size + (first + i * size / under_way) % size,
                            Sort::Token,
                        )
                    })
                })
                .collect(),
            Kind::FanIn { .. } | Kind::Flood { .. } => {
                (1..self.actors).map(|actor| (actor, Sort::Reply)).collect()
            }
            Kind::Service { .. } => (0..self.actors)
                .filter(|actor| actor % SERVICE_GROUP < SERVICE_GROUP / 2)
                .map(|actor| (actor, Sort::Reply))
                .collect(),
            Kind::Bipartite { servers } => (servers..self.actors)
                .map(|actor| (actor, Sort::Reply))
                .collect(),
        }
    }

    /// What a handler sends when it gets a message of `from`.
    pub(crate) fn handle(
        &mut self,
        random: &mut Random,
        actor: usize,
        from: usize,
        sort: Sort,
        out: &mut Vec<Send>,
    ) {
        match self.kind {
            Kind::Communities { size, within } => {
                let to = if random.percent(within) {
                    actor / size * size + random.below(size)
                } else {
                    random.below(self.actors)
                };
                out.push((to, Sort::Token));
            }
            Kind::Ring { size, .. } => {
                let first = actor / size * size;
                out.push((first + (actor + 1 - first) % size, Sort::Token));
            }
            Kind::FanIn { burst } if actor == 0 => {
                self.unanswered[from] += 1;
                if self.unanswered[from] == burst {
                    self.unanswered[from] = 0;
                    out.push((from, Sort::Reply));
                }
            }
            Kind::FanIn { burst } => out.extend((0..burst).map(|_| (0, Sort::Request))),
            Kind::Flood { .. } if actor == 0 => {}
            Kind::Flood { burst, bursts } => {
                out.extend((0..burst).map(|_| (0, Sort::Request)));
                self.unanswered[actor] += 1;
                if self.unanswered[actor] < bursts {
                    out.push((actor, Sort::Token));
                }
            }
            Kind::Service { within } => match sort {
                Sort::Request => out.push((from, Sort::Reply)),
                _ => {
                    let group = if random.percent(within) {
                        actor / SERVICE_GROUP
                    } else {
                        random.below(self.actors / SERVICE_GROUP)
                    };
                    let shard = SERVICE_GROUP / 2 + random.below(SERVICE_GROUP / 2);
                    out.push((group * SERVICE_GROUP + shard, Sort::Request));
                }
            },
            Kind::Bipartite { .. } => match sort {
                Sort::Request => out.push((from, Sort::Reply)),
                _ => {
                    let total = self.popularity.last().copied().unwrap_or_default();
                    let at = random.unit() * total;
                    let server = self.popularity.partition_point(|sum| *sum < at);
                    out.push((server, Sort::Request));
                }
            },
        }
    }

    /// One message of this workload, as likely as it is: from whom, to whom. For the balancer's warm-up.
    pub(crate) fn edge(&mut self, random: &mut Random) -> (usize, usize) {
        let mut out = Vec::new();
        let from = match self.kind {
            Kind::FanIn { .. } | Kind::Flood { .. } => 1 + random.below(self.actors - 1),
            Kind::Service { .. } => {
                random.below(self.actors / SERVICE_GROUP) * SERVICE_GROUP
                    + random.below(SERVICE_GROUP / 2)
            }
            Kind::Bipartite { servers } => servers + random.below(self.actors - servers),
            _ => random.below(self.actors),
        };
        self.handle(random, from, from, Sort::Reply, &mut out);
        let (to, sort) = out[0];
        // Half of all messages are answers where there are any.
        if sort == Sort::Request
            && !matches!(self.kind, Kind::FanIn { .. } | Kind::Flood { .. })
            && random.percent(50)
        {
            (to, from)
        } else {
            (from, to)
        }
    }
}
