//! Draws what was seen. Pure: a state in, cells of a terminal out.

use actor_net::console::api::{ActorRow, Attention, Overview, Spread, TypeRow, Worker};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table, Tabs};

use super::figures::{bytes, count, known, percent, short, time};
use super::state::{State, Tab};

/// A small chart: its title, its columns, and how a figure is written.
type Chart = (&'static str, Vec<Option<u64>>, fn(u64) -> String);

/// Lines of what needs attention, at most.
const ATTENTION_MAX: usize = 4;

const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);
const DIM: Style = Style::new().fg(Color::DarkGray);
const BAD: Style = Style::new().fg(Color::Red);
const WARN: Style = Style::new().fg(Color::Yellow);
const GOOD: Style = Style::new().fg(Color::Green);

pub(crate) fn draw(frame: &mut Frame<'_>, state: &State) {
    let attention = state
        .overview
        .as_ref()
        .map_or(&[][..], |overview| &overview.attention[..]);
    let shown = attention.len().min(ATTENTION_MAX);
    let [title, charts, trouble, tabs, table, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(5),
        Constraint::Length(shown as u16),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    if let Some(overview) = &state.overview {
        draw_title(frame, title, state, overview);
    }
    draw_charts(frame, charts, state);
    draw_attention(frame, trouble, &attention[..shown]);
    draw_tabs(frame, tabs, state);
    match state.tab {
        Tab::Types => draw_types(frame, table, state),
        Tab::Actors => draw_actors(frame, table, state),
        Tab::Machine => draw_machine(frame, table, state),
        Tab::Trouble => draw_trouble(frame, table, state),
    }
    draw_keys(frame, keys, state);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, state: &State, overview: &Overview) {
    let system = &overview.system;
    let host = system.hostname.as_deref().unwrap_or("localhost");
    let ready = if overview.health.ready {
        Span::styled("ready", GOOD)
    } else {
        let why: Vec<_> = overview
            .health
            .why
            .iter()
            .map(|why| &why.text[..])
            .collect();
        Span::styled(format!("NOT READY: {}", why.join("; ")), BAD)
    };
    let mut first = vec![
        Span::styled(system.name.clone(), HEAD),
        format!(
            " {}  pid {} on {host}  up {}  ",
            system.version,
            system.pid,
            time(system.uptime_ns)
        )
        .into(),
        ready,
    ];
    if let Some(peers) = &overview.peers {
        let style = if peers.unreachable > 0 {
            BAD
        } else {
            Style::new()
        };
        let text = format!("  peers {} up, {} unreachable", peers.up, peers.unreachable);
        first.push(Span::styled(text, style));
    }
    if let Some(problem) = &state.problem {
        first.push(Span::styled(format!("  {problem}"), BAD));
    } else if state.is_paused {
        first.push(Span::styled("  paused", WARN));
    }
    let messages = &overview.messages;
    let second = format!(
        "actors {}  restarts {}  messages {} = handled {} + dead letters {} + dropped {} + queued {}",
        count(overview.actors.alive as f64),
        count(overview.actors.restarts_total as f64),
        count(messages.accepted_total as f64),
        count(messages.handled_total as f64),
        count(messages.dead_letters_total as f64),
        count(messages.dropped_total as f64),
        count(messages.queued as f64),
    );
    frame.render_widget(Paragraph::new(vec![first.into(), second.into()]), area);
}

fn draw_charts(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let areas: [Rect; 4] = Layout::horizontal([Constraint::Fill(1); 4]).areas(area);
    let Some(series) = state.history.as_ref().map(|history| &history.series) else {
        return;
    };
    let whole = |n: &Option<f64>| n.map(|n| n.max(0.0) as u64);
    let charts: [Chart; 4] = [
        (
            "messages/s",
            series.messages_per_s.iter().map(whole).collect(),
            |n| count(n as f64),
        ),
        ("queued", series.queued.clone(), |n| count(n as f64)),
        ("wait p99", series.wait_p99_ns.clone(), time),
        (
            "load",
            series
                .load
                .iter()
                .map(|load| load.map(|load| (load * 100.0) as u64))
                .collect(),
            |n| format!("{n}%"),
        ),
    ];
    for (area, (title, values, show)) in areas.into_iter().zip(charts) {
        let now = known(values.last().copied().flatten(), show);
        let title = Line::from(vec![
            Span::styled(format!("{title} "), DIM),
            Span::styled(format!("{now} "), HEAD),
        ]);
        let block = Block::new()
            .borders(Borders::TOP)
            .border_style(DIM)
            .title(title);
        // The newest at the right edge.
        let width = usize::from(area.width);
        let from = values.len().saturating_sub(width);
        let mut bars = vec![None; width.saturating_sub(values.len())];
        bars.extend_from_slice(&values[from..]);
        let chart = Sparkline::default()
            .block(block)
            .data(bars)
            .style(Style::new().fg(Color::Cyan));
        frame.render_widget(chart, area);
    }
}

fn draw_attention(frame: &mut Frame<'_>, area: Rect, attention: &[Attention]) {
    let lines: Vec<Line<'_>> = attention
        .iter()
        .map(|item| {
            let style = if item.severity == "bad" { BAD } else { WARN };
            vec![
                Span::styled(format!("! {}: ", item.title), style),
                item.detail.as_str().into(),
            ]
            .into()
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_tabs(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let titles = Tab::ALL.iter().map(|tab| {
        let (index, title) = (tab.index() + 1, tab.title());
        if *tab == state.tab {
            format!("[{index} {title}]")
        } else {
            format!(" {index} {title} ")
        }
    });
    let tabs = Tabs::new(titles)
        .select(state.tab.index())
        .highlight_style(HEAD.add_modifier(Modifier::REVERSED))
        .divider(" ");
    frame.render_widget(tabs, area);
    let mut right = state
        .order()
        .map_or_else(String::new, |order| format!("by {order}"));
    if state.is_typing || !state.search.is_empty() {
        right = format!(
            "search: {}{}  {right}",
            state.search,
            if state.is_typing { "_" } else { "" }
        );
    }
    frame.render_widget(Paragraph::new(right).alignment(Alignment::Right), area);
}

fn draw_keys(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let text = if state.is_typing {
        "type a type, a name or an id   enter keep   esc clear"
    } else {
        "1-4 tab   s sort   / search   up/down scroll   p pause   q quit"
    };
    frame.render_widget(Paragraph::new(text.dark_gray()), area);
}

/// A table with a head, from the state's first line on; its first column takes what is left.
fn draw_table<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    state: &State,
    head: &[(&'static str, u16)],
    rows: impl Iterator<Item = Row<'a>>,
) {
    let widths = head.iter().enumerate().map(|(at, (_, width))| {
        if at == 0 {
            Constraint::Min(*width)
        } else {
            Constraint::Length(*width)
        }
    });
    let titles = head.iter().enumerate().map(|(at, (title, _))| {
        if at == 0 {
            (*title).into()
        } else {
            right(*title)
        }
    });
    let room = usize::from(area.height);
    let table = Table::new(
        rows.skip(state.top()).take(room).collect::<Vec<_>>(),
        widths,
    )
    .header(Row::new(titles.collect::<Vec<Cell<'_>>>()).style(DIM))
    .column_spacing(2);
    frame.render_widget(table, area);
}

/// A number's column.
fn right<'a>(text: impl Into<std::borrow::Cow<'a, str>>) -> Cell<'a> {
    Cell::from(Line::from(text.into()).alignment(Alignment::Right))
}

fn draw_types(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let head = [
        ("type", 20),
        ("actors", 7),
        ("busy", 6),
        ("queued", 7),
        ("msg/s", 7),
        ("wait p50", 8),
        ("p99", 8),
        ("handle p50", 10),
        ("p99", 8),
        ("failed", 6),
    ];
    let Some(types) = &state.types else { return };
    draw_table(frame, area, state, &head, types.items.iter().map(type_row));
}

fn type_row(row: &TypeRow) -> Row<'_> {
    let spread =
        |spread: Option<Spread>, which: fn(Spread) -> u64| known(spread, |it| time(which(it)));
    Row::new(vec![
        short(&row.actor_type).into(),
        right(count(row.alive as f64)),
        right(count(row.busy as f64)),
        right(count(row.queued as f64)),
        right(known(row.rate_per_s, count)),
        right(spread(row.wait, |it| it.p50_ns)),
        right(spread(row.wait, |it| it.p99_ns)),
        right(spread(row.handle, |it| it.p50_ns)),
        right(spread(row.handle, |it| it.p99_ns)),
        right(count(row.failures_total as f64)),
    ])
}

fn draw_actors(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let head = [
        ("actor", 24),
        ("id", 12),
        ("phase", 11),
        ("queued", 11),
        ("msg/s", 7),
        ("quiet", 7),
        ("restarts", 8),
        ("children", 8),
        ("numa", 4),
    ];
    let Some(actors) = &state.actors else { return };
    draw_table(
        frame,
        area,
        state,
        &head,
        actors.items.iter().map(actor_row),
    );
}

fn actor_row(row: &ActorRow) -> Row<'_> {
    let label = match &row.name {
        Some(name) => format!("{name} ({})", short(&row.actor_type)),
        None => short(&row.actor_type),
    };
    let queued = match row.capacity {
        Some(capacity) => format!("{}/{capacity}", row.queued),
        None => row.queued.to_string(),
    };
    let phase = row.phase.as_deref().unwrap_or("no answer");
    let style = match row.phase.as_deref() {
        Some("running" | "starting") => Style::new(),
        Some(_) => WARN,
        None => BAD,
    };
    Row::new(vec![
        label.into(),
        right(row.id.as_str()),
        right(phase).style(style),
        right(queued),
        right(known(row.rate_per_s, count)),
        right(known(row.quiet_ns, |ns| match ns {
            0 => "active".to_owned(),
            ns => time(ns),
        })),
        right(known(row.restarts, |n| count(n as f64))),
        right(known(row.children, |n| count(n as f64))),
        right(row.numa_node.to_string()),
    ])
}

fn draw_machine(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let head = [
        ("NUMA node / worker", 24),
        ("cpu", 8),
        ("load", 6),
        ("queued", 7),
        ("turns/s", 8),
        ("parks/s", 8),
        ("near", 7),
        ("far", 7),
        ("actors", 7),
        ("arena", 7),
    ];
    let Some(machine) = &state.machine else {
        return;
    };
    let mut rows = Vec::new();
    for node in &machine.numa_nodes {
        let arena = node.arena.slab_bytes + node.arena.cell_bytes + node.arena.large_bytes;
        rows.push(
            Row::new(vec![
                format!("numa{}", node.id).into(),
                right(node.cpus.as_str()),
                right(known(node.load, percent)),
                right(count(node.queued as f64)),
                right(""),
                right(""),
                right(""),
                right(""),
                right(known(node.actors, |n| count(n as f64))),
                right(bytes(arena)),
            ])
            .style(HEAD),
        );
        rows.extend(node.workers.iter().map(worker_row));
    }
    draw_table(frame, area, state, &head, rows.into_iter());
}

fn worker_row(worker: &Worker) -> Row<'_> {
    let (label, style) = match &worker.stalled {
        Some(by) => (
            format!(
                "  worker{} held {} by {}",
                worker.id,
                time(by.for_ns),
                short(&by.actor_type)
            ),
            BAD,
        ),
        None if worker.pin_problem.is_some() => (format!("  worker{} not pinned", worker.id), WARN),
        None => (format!("  worker{}", worker.id), Style::new()),
    };
    Row::new(vec![
        Cell::from(label).style(style),
        right(known(worker.cpu, |cpu| cpu.to_string())),
        right(known(worker.load, percent)),
        right(worker.queued.to_string()),
        right(known(worker.turns_per_s, count)),
        right(known(worker.parks_per_s, count)),
        right(known(worker.steals_near_per_s, count)),
        right(known(worker.steals_far_per_s, count)),
        right(""),
        right(""),
    ])
}

fn draw_trouble(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let (Some(overview), Some(stalls)) = (&state.overview, &state.stalls) else {
        return;
    };
    let messages = &overview.messages;
    let (refused, dead, dropped) = (&messages.refused, &messages.dead_letters, &messages.dropped);
    let reasons = |kind: &str, reasons: &[(&str, u64)]| {
        let mut line = vec![Span::styled(format!("{kind:<13}"), HEAD)];
        for (reason, n) in reasons {
            let style = if *n > 0 { WARN } else { DIM };
            line.push(Span::styled(
                format!("{reason} {}   ", count(*n as f64)),
                style,
            ));
        }
        Line::from(line)
    };
    let mut lines = vec![
        reasons(
            "refused",
            &[
                ("full", refused.full),
                ("dead", refused.dead),
                ("overloaded", refused.overloaded),
                ("other", refused.other),
            ],
        ),
        reasons(
            "dead letters",
            &[
                ("actor stopped", dead.actor_stopped),
                ("peer gone", dead.peer_gone),
                ("not exported", dead.not_exported),
                ("too large", dead.too_large),
                ("unreachable", dead.unreachable),
            ],
        ),
        reasons(
            "dropped",
            &[
                ("expired", dropped.expired),
                ("cancelled", dropped.cancelled),
                ("panicked", dropped.panicked),
                ("interrupted", dropped.interrupted),
                ("oldest", dropped.overflow_oldest),
                ("newest", dropped.overflow_newest),
                ("abandoned", dropped.abandoned),
            ],
        ),
        Line::default(),
        Line::from(vec![
            Span::styled("stalls       ", HEAD),
            format!(
                "{} in all, {} now, the longest {}; spares on duty {}",
                stalls.totals.stalls_total,
                stalls.totals.now,
                time(stalls.totals.longest_ns),
                stalls.totals.spares_on_duty
            )
            .into(),
        ]),
    ];
    for stall in stalls.now.iter().chain(&stalls.recent) {
        let message = stall
            .message
            .as_deref()
            .map_or_else(|| "a hook".to_owned(), short);
        let text = format!(
            "  worker{} {} {} with {message} for {}",
            stall.worker,
            short(&stall.actor_type),
            stall.actor,
            time(stall.for_ns)
        );
        lines.push(Line::from(text).style(if stall.running { BAD } else { Style::new() }));
        let stack = stall.stack.as_deref().unwrap_or_default();
        lines.extend(
            stack
                .lines()
                .take(8)
                .map(|frame| Line::styled(format!("      {frame}"), DIM)),
        );
    }
    frame.render_widget(Paragraph::new(lines), area);
}
