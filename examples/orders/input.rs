//! The orders to place under load, from a text file: one order per line, as CSV.
//!
//! Read line by line and from the beginning again when it ends, so that a file of any size takes the
//! memory of one line. A field may be quoted (`"Ada, Countess"`, with `""` for a quote), a line break
//! within quotes is not supported: an open quote spoils one line and not the rest of the file.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use crate::order::{Invalid, Placed};

/// The columns of the file, also its optional first line.
pub(crate) const COLUMNS: [&str; 5] = ["order_id", "customer", "item", "quantity", "price_cents"];

/// The longest line that is read; longer ones are skipped.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Where the sample is, also for a binary that is run from elsewhere.
pub(crate) fn sample() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/orders.csv");
    if source.exists() {
        source
    } else {
        "examples/data/orders.csv".into()
    }
}

/// An endless supply of orders.
#[derive(Debug)]
pub(crate) struct Input<R> {
    reader: R,
    line: u64,
    /// How often the end was reached.
    passes: u64,
    orders_in_pass: u64,
    pub(crate) malformed: u64,
    buffer: Vec<u8>,
}

/// One line of the input.
#[derive(Debug)]
pub(crate) enum Line {
    Order(Placed),
    Malformed {
        line: u64,
        why: Malformed,
    },
    /// No further order will come.
    End,
}

impl Input<BufReader<File>> {
    /// Opens a file that has at least one order in it.
    pub(crate) fn open(path: &Path) -> Result<Self, InputError> {
        let refuse = |why| InputError {
            path: path.to_owned(),
            why,
        };
        // Before it is opened: opening a pipe waits for its other end, and so might each read.
        let metadata = std::fs::metadata(path).map_err(|error| refuse(Why::Io(error)))?;
        if !metadata.is_file() {
            return Err(refuse(Why::NoFile {
                directory: metadata.is_dir(),
            }));
        }
        let file = File::open(path).map_err(|error| refuse(Why::Io(error)))?;
        let mut input = Self::new(BufReader::with_capacity(64 << 10, file));
        let mut first_why = None;
        loop {
            match input
                .next_in_pass()
                .map_err(|error| refuse(Why::Io(error)))?
            {
                Some(Line::Order(_)) => break,
                Some(Line::Malformed { line, why }) => _ = first_why.get_or_insert((line, why)),
                Some(Line::End) | None => {
                    return Err(refuse(Why::NoOrders {
                        lines: input.line,
                        first: first_why,
                    }));
                }
            }
        }
        let mut reader = input.reader;
        reader.rewind().map_err(|error| refuse(Why::Io(error)))?;
        Ok(Self::new(reader))
    }
}

impl<R: BufRead + Seek> Input<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            line: 0,
            passes: 0,
            orders_in_pass: 0,
            malformed: 0,
            buffer: Vec::new(),
        }
    }

    /// The next order, with an id that was not used before: from the second time on `~2`, `~3` and so on
    /// are appended. Malformed lines are reported the first time only.
    pub(crate) fn next(&mut self) -> io::Result<Line> {
        loop {
            match self.next_in_pass()? {
                Some(Line::Order(mut order)) => {
                    self.orders_in_pass += 1;
                    if self.passes > 0 {
                        order.order_id = format!("{}~{}", order.order_id, self.passes + 1);
                        if order.check().is_err() {
                            // Its id is too long to be told from its first one.
                            continue;
                        }
                    }
                    return Ok(Line::Order(order));
                }
                Some(line) => {
                    if self.passes == 0 {
                        self.malformed += 1;
                        return Ok(line);
                    }
                }
                None => {
                    if self.orders_in_pass == 0 {
                        return Ok(Line::End);
                    }
                    self.reader.rewind()?;
                    (self.line, self.orders_in_pass) = (0, 0);
                    self.passes += 1;
                }
            }
        }
    }

    /// How often the input was read to its end.
    pub(crate) const fn passes(&self) -> u64 {
        self.passes
    }

    /// `None` at the end. Blank lines and the header are passed over.
    fn next_in_pass(&mut self) -> io::Result<Option<Line>> {
        loop {
            let Some(read) = self.read_line()? else {
                return Ok(None);
            };
            let line = self.line;
            let parsed = read.and_then(|()| {
                let text = str::from_utf8(&self.buffer).map_err(|_| Malformed::NotUtf8)?;
                // A mark that some editors put at the beginning of UTF-8.
                let text = text
                    .strip_prefix('\u{feff}')
                    .unwrap_or(text)
                    .trim_end_matches(['\r', '\n']);
                if text.trim().is_empty() {
                    Ok(None)
                } else {
                    parse(text).map(Some)
                }
            });
            return Ok(Some(match parsed {
                Ok(None) => continue,
                Ok(Some(Row::Header)) if line == 1 => continue,
                Ok(Some(Row::Header)) => Line::Malformed {
                    line,
                    why: Malformed::HeaderAgain,
                },
                Ok(Some(Row::Order(order))) => Line::Order(order),
                Err(why) => Line::Malformed { line, why },
            }));
        }
    }

    /// Reads a line into the buffer, all of it or, if it is too long, past it.
    fn read_line(&mut self) -> io::Result<Option<Result<(), Malformed>>> {
        self.buffer.clear();
        let mut bytes = 0;
        loop {
            let chunk = match self.reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() && bytes == 0 {
                return Ok(None);
            }
            let end = chunk
                .iter()
                .position(|byte| *byte == b'\n')
                .map(|at| at + 1);
            let take = end.unwrap_or(chunk.len());
            bytes += take;
            if bytes <= LINE_BYTES_MAX {
                self.buffer.extend_from_slice(&chunk[..take]);
            }
            self.reader.consume(take);
            if end.is_some() || take == 0 {
                self.line += 1;
                let fits = bytes <= LINE_BYTES_MAX;
                return Ok(Some(if fits {
                    Ok(())
                } else {
                    Err(Malformed::TooLong { bytes })
                }));
            }
        }
    }
}

enum Row {
    Header,
    Order(Placed),
}

fn parse(text: &str) -> Result<Row, Malformed> {
    // Quotes come in pairs, `""` inside of quotes too.
    if !text
        .bytes()
        .filter(|byte| *byte == b'"')
        .count()
        .is_multiple_of(2)
    {
        return Err(Malformed::OpenQuote);
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(text.len())
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    if !reader
        .read_record(&mut record)
        .map_err(|error| Malformed::Csv(error.to_string()))?
    {
        return Err(Malformed::Fields(0));
    }
    let fields: Vec<&str> = record.iter().map(str::trim).collect();
    let Ok([order_id, customer, item, quantity, price_cents]) = <[&str; 5]>::try_from(fields)
    else {
        return Err(Malformed::Fields(record.len()));
    };
    if [order_id, customer, item, quantity, price_cents] == COLUMNS {
        return Ok(Row::Header);
    }
    let number = |column: &'static str, value: &str| {
        value.parse::<u64>().map_err(|_| Malformed::Number {
            column,
            value: value.chars().take(32).collect(),
        })
    };
    let order = Placed {
        order_id: order_id.to_owned(),
        customer: customer.to_owned(),
        item: item.to_owned(),
        quantity: number("quantity", quantity)?
            .try_into()
            .map_err(|_| Malformed::Order(Invalid::Quantity(u32::MAX)))?,
        price_cents: number("price_cents", price_cents)?,
    };
    order.check().map_err(Malformed::Order)?;
    Ok(Row::Order(order))
}

/// What is wrong with a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    TooLong { bytes: usize },
    NotUtf8,
    OpenQuote,
    HeaderAgain,
    Csv(String),
    Fields(usize),
    Number { column: &'static str, value: String },
    Order(Invalid),
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => {
                write!(f, "{bytes} bytes long: at most {LINE_BYTES_MAX} are read")
            }
            Self::NotUtf8 => f.write_str("not UTF-8"),
            Self::OpenQuote => f.write_str("a quote is not closed on this line"),
            Self::HeaderAgain => f.write_str("the header again: it may only be the first line"),
            Self::Csv(error) => f.write_str(error),
            Self::Fields(n) => write!(
                f,
                "{n} field{} instead of 5: {}",
                if *n == 1 { "" } else { "s" },
                COLUMNS.join(",")
            ),
            Self::Number { column, value } => write!(f, "{column} {value:?} is not a whole number"),
            Self::Order(invalid) => invalid.fmt(f),
        }
    }
}

/// Why a file cannot be the input.
#[derive(Debug)]
pub(crate) struct InputError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Io(io::Error),
    NoFile {
        directory: bool,
    },
    NoOrders {
        lines: u64,
        first: Option<(u64, Malformed)>,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.why {
            Why::Io(error) => write!(f, "--input {path}: {error}"),
            Why::NoFile { directory } => write!(
                f,
                "--input {path} is {}; give a file with one order per line",
                if *directory {
                    "a directory"
                } else {
                    "no regular file and cannot be read twice"
                }
            ),
            Why::NoOrders { lines: 0, .. } => write!(
                f,
                "--input {path} is empty; it needs one order per line: {}",
                COLUMNS.join(",")
            ),
            Why::NoOrders { lines, first } => {
                write!(f, "--input {path} has no valid order in {lines} line(s)")?;
                match first {
                    Some((line, why)) => write!(f, "; line {line}: {why}"),
                    None => write!(f, "; it needs one order per line: {}", COLUMNS.join(",")),
                }
            }
        }
    }
}

impl std::error::Error for InputError {}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
