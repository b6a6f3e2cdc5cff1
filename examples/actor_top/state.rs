//! What was seen last, and what the user wants to see.

use std::error::Error;

use actor_net::console::api::{Actors, History, Machine, Overview, Stalls, Types};
use clap::ValueEnum;

use super::client::Client;

/// The four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tab {
    /// Actors by type.
    Types,
    /// Actors, one by one.
    Actors,
    /// NUMA nodes and workers.
    Machine,
    /// Messages that were not handled, and handlers that block.
    Trouble,
}

impl Tab {
    pub(crate) const ALL: [Self; 4] = [Self::Types, Self::Actors, Self::Machine, Self::Trouble];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Types => "types",
            Self::Actors => "actors",
            Self::Machine => "machine",
            Self::Trouble => "trouble",
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn next(self) -> Self {
        Self::ALL[(self.index() + 1) % Self::ALL.len()]
    }

    pub(crate) fn before(self) -> Self {
        Self::ALL[(self.index() + Self::ALL.len() - 1) % Self::ALL.len()]
    }

    /// What it can be sorted by.
    const fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Types => &["rate", "queued", "alive", "busy", "wait", "handle"],
            Self::Actors => &["queued", "rate", "restarts", "quiet", "type", "id"],
            Self::Machine | Self::Trouble => &[],
        }
    }
}

/// Everything that is drawn.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tab: Tab,
    /// What each tab is sorted by.
    orders: [usize; Tab::ALL.len()],
    /// The first line that is shown of each tab.
    tops: [usize; Tab::ALL.len()],
    pub(crate) search: String,
    pub(crate) is_typing: bool,
    pub(crate) is_paused: bool,
    /// Why there is nothing new.
    pub(crate) problem: Option<String>,
    pub(crate) overview: Option<Overview>,
    pub(crate) history: Option<History>,
    pub(crate) types: Option<Types>,
    pub(crate) actors: Option<Actors>,
    pub(crate) machine: Option<Machine>,
    pub(crate) stalls: Option<Stalls>,
}

impl State {
    pub(crate) fn new(tab: Tab) -> Self {
        Self {
            tab,
            orders: [0; Tab::ALL.len()],
            tops: [0; Tab::ALL.len()],
            search: String::new(),
            is_typing: false,
            is_paused: false,
            problem: None,
            overview: None,
            history: None,
            types: None,
            actors: None,
            machine: None,
            stalls: None,
        }
    }

    /// Asks for what is on the screen, and for nothing else.
    ///
    /// # Errors
    ///
    /// When there is no answer; what was seen before stays.
    pub(crate) async fn look(&mut self, client: &Client) -> Result<(), Box<dyn Error>> {
        self.overview = Some(client.get("/api/v1/overview").await?);
        self.history = Some(client.get("/api/v1/history?seconds=120").await?);
        let order = self.order().unwrap_or_default();
        match self.tab {
            Tab::Types => {
                let path = format!("/api/v1/types?sort={order}&limit=200");
                self.types = Some(client.get(&path).await?);
            }
            Tab::Actors => {
                let search: String = self
                    .search
                    .bytes()
                    .map(|byte| format!("%{byte:02x}"))
                    .collect();
                let path = format!("/api/v1/actors?sort={order}&q={search}&limit=200");
                self.actors = Some(client.get(&path).await?);
            }
            Tab::Machine => self.machine = Some(client.get("/api/v1/machine").await?),
            Tab::Trouble => self.stalls = Some(client.get("/api/v1/stalls").await?),
        }
        Ok(())
    }

    /// What the present table is sorted by.
    pub(crate) fn order(&self) -> Option<&'static str> {
        let at = self.orders[self.tab.index()];
        self.tab.orders().get(at).copied()
    }

    pub(crate) fn sort_otherwise(&mut self) {
        let at = &mut self.orders[self.tab.index()];
        *at = (*at + 1) % self.tab.orders().len().max(1);
        self.scroll(isize::MIN);
    }

    pub(crate) fn show(&mut self, tab: Tab) {
        self.tab = tab;
    }

    pub(crate) fn begin_search(&mut self) {
        self.show(Tab::Actors);
        self.is_typing = true;
    }

    pub(crate) fn stop_searching(&mut self) {
        self.is_typing = false;
        self.search.clear();
    }

    /// The first line that is shown.
    pub(crate) fn top(&self) -> usize {
        self.tops[self.tab.index()]
    }

    pub(crate) fn scroll(&mut self, by: isize) {
        let lines = match self.tab {
            Tab::Types => self.types.as_ref().map_or(0, |types| types.items.len()),
            Tab::Actors => self.actors.as_ref().map_or(0, |actors| actors.items.len()),
            Tab::Machine => self.machine.as_ref().map_or(0, |machine| {
                machine
                    .numa_nodes
                    .iter()
                    .map(|node| node.workers.len() + 1)
                    .sum()
            }),
            Tab::Trouble => 0,
        };
        let top = &mut self.tops[self.tab.index()];
        *top = top.saturating_add_signed(by).min(lines.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_go_round() {
        for tab in Tab::ALL {
            assert_eq!(tab.next().before(), tab);
        }
        assert_eq!(Tab::Trouble.next(), Tab::Types);
    }

    #[test]
    fn every_order_comes_round_and_nothing_scrolls_past_the_end() {
        let mut state = State::new(Tab::Types);
        let first = state.order();
        for _ in 0..Tab::Types.orders().len() {
            state.sort_otherwise();
        }
        assert_eq!(state.order(), first);
        state.scroll(isize::MAX);
        assert_eq!(state.top(), 0, "there are no lines yet");
        state.show(Tab::Trouble);
        state.sort_otherwise();
        assert_eq!(state.order(), None);
    }
}
