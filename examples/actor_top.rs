//! What a system does now, in a terminal: reads the console's interface (docs/console-api.md) of a running program.
//!
//! ```text
//! cargo run --release --example orders -- --load --console     # in one terminal
//! cargo run --release --example actor-top                      # in another
//! ```
//!
//! `--once` prints one picture and ends, for scripts and for terminals that cannot be drawn on.

#[path = "actor_top/client.rs"]
mod client;
#[path = "actor_top/figures.rs"]
mod figures;
#[path = "actor_top/screen.rs"]
mod screen;
#[path = "actor_top/state.rs"]
mod state;

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::runtime::Runtime;

use self::client::Client;
use self::state::{State, Tab};

/// Size of the picture of `--once`.
const PICTURE: (u16, u16) = (110, 40);

/// What a system of actors does now, in a terminal.
#[derive(Parser, Debug)]
#[command(name = "actor-top", version)]
struct Options {
    /// Where the console listens.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9600")]
    console: String,
    /// The console's token, if it has one; better given by the environment.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "ACTOR_CONSOLE_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// Seconds between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    interval: u64,
    /// Print one picture and end.
    #[arg(long)]
    once: bool,
    /// What to show first.
    #[arg(long, value_enum, default_value_t = Tab::Types)]
    show: Tab,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("actor-top: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = Client::new(&options.console, options.token.as_deref())?;
    let mut state = State::new(options.show);
    // The first look says what is wrong before the terminal is taken.
    runtime.block_on(state.look(&client))?;
    if options.once {
        // Rates need a second.
        std::thread::sleep(Duration::from_secs(options.interval));
        runtime.block_on(state.look(&client))?;
        return picture(&state);
    }
    if !io::stdout().is_terminal() {
        return Err("the output is no terminal: ask for one picture with --once".into());
    }
    let mut terminal = ratatui::try_init()?;
    let ended = watch(&mut terminal, &runtime, &client, &mut state, options);
    // Also after an error: who looks at it wants a terminal back.
    ratatui::try_restore()?;
    ended
}

/// Draws, and looks again every so often, until it is told to end.
fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    runtime: &Runtime,
    client: &Client,
    state: &mut State,
    options: &Options,
) -> Result<(), Box<dyn Error>> {
    let interval = Duration::from_secs(options.interval);
    let mut next = Instant::now() + interval;
    loop {
        terminal.draw(|frame| screen::draw(frame, state))?;
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            match event::read()? {
                Event::Key(key) if key.kind == KeyEventKind::Press => match press(key, state) {
                    Pressed::End => return Ok(()),
                    Pressed::LookNow => next = Instant::now(),
                    Pressed::Nothing => {}
                },
                _ => {}
            }
        }
        if Instant::now() >= next {
            if !state.is_paused {
                // A console that is gone may come back: it stands in the first line until then.
                state.problem = runtime
                    .block_on(state.look(client))
                    .err()
                    .map(|error| error.to_string());
            }
            next = Instant::now() + interval;
        }
    }
}

/// What a key asks for.
enum Pressed {
    Nothing,
    LookNow,
    End,
}

fn press(key: KeyEvent, state: &mut State) -> Pressed {
    if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
        return Pressed::End;
    }
    if state.is_typing {
        match key.code {
            KeyCode::Enter => state.is_typing = false,
            KeyCode::Esc => state.stop_searching(),
            KeyCode::Backspace => drop(state.search.pop()),
            KeyCode::Char(letter) => state.search.push(letter),
            _ => return Pressed::Nothing,
        }
        return Pressed::LookNow;
    }
    match key.code {
        KeyCode::Char('q') => return Pressed::End,
        KeyCode::Esc => state.stop_searching(),
        KeyCode::Tab | KeyCode::Right => state.show(state.tab.next()),
        KeyCode::BackTab | KeyCode::Left => state.show(state.tab.before()),
        KeyCode::Char(digit @ '1'..='4') => {
            state.show(Tab::ALL[digit as usize - '1' as usize]);
        }
        KeyCode::Char('s') => state.sort_otherwise(),
        KeyCode::Char('/') => state.begin_search(),
        KeyCode::Char('p') => state.is_paused = !state.is_paused,
        KeyCode::Down | KeyCode::Char('j') => return moved(state, 1),
        KeyCode::Up | KeyCode::Char('k') => return moved(state, -1),
        KeyCode::PageDown => return moved(state, 20),
        KeyCode::PageUp => return moved(state, -20),
        KeyCode::Home => return moved(state, isize::MIN),
        KeyCode::End => return moved(state, isize::MAX),
        _ => return Pressed::Nothing,
    }
    Pressed::LookNow
}

fn moved(state: &mut State, by: isize) -> Pressed {
    state.scroll(by);
    Pressed::Nothing
}

/// One picture, as text.
fn picture(state: &State) -> Result<(), Box<dyn Error>> {
    let mut terminal = Terminal::new(TestBackend::new(PICTURE.0, PICTURE.1))?;
    terminal.draw(|frame| screen::draw(frame, state))?;
    let buffer = terminal.backend().buffer();
    let width = usize::from(buffer.area.width);
    let mut lines: Vec<String> = buffer
        .content
        .chunks(width)
        .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>())
        .map(|line| line.trim_end().to_owned())
        .collect();
    // The keys are of no use in it, nor is the room above them.
    lines.pop();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    match writeln!(io::stdout(), "{}", lines.join("\n")) {
        // Who reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}
