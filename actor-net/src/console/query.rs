//! The part of an address behind the `?`, read strictly: what is not known, or comes twice, is told.

use std::str::FromStr;

use super::answer::Wrong;

/// The most pairs of a query.
const PAIRS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// # Errors
    ///
    /// For what cannot be read, and for a name that is not in `known`.
    pub(super) fn read(text: Option<&str>, known: &'static [&'static str]) -> Result<Self, Wrong> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in text
            .unwrap_or_default()
            .split('&')
            .filter(|it| !it.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Wrong::bad(
                    format!("{pair:?} cannot be read"),
                    "write it with %XX for what is not ASCII, in UTF-8",
                ));
            };
            if !known.contains(&name.as_str()) {
                let may = match known {
                    [] => "it takes none".to_owned(),
                    known => format!("it takes {}", known.join(", ")),
                };
                return Err(Wrong::bad(
                    format!("{name:?} is no parameter of this path"),
                    may,
                ));
            }
            if pairs.iter().any(|(other, _)| *other == name) || pairs.len() == PAIRS_MAX {
                return Err(Wrong::bad(
                    format!("{name:?} is there twice"),
                    "say it once",
                ));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// What was said; an empty value counts as nothing said.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(of, _)| of == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|it| !it.is_empty())
    }

    /// A number within a range.
    pub(super) fn number<T>(&self, name: &str, default: T, min: T, max: T) -> Result<T, Wrong>
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let Some(text) = self.text(name) else {
            return Ok(default);
        };
        match text.parse() {
            Ok(number) if number >= min && number <= max => Ok(number),
            _ => Err(Wrong::bad(
                format!("{name} is {text:?}"),
                format!("it is a number from {min} to {max}; {default} if not given"),
            )),
        }
    }

    /// One of a few words; the first if not given.
    pub(super) fn one_of(
        &self,
        name: &str,
        words: &'static [&'static str],
    ) -> Result<&'static str, Wrong> {
        let Some(text) = self.text(name) else {
            return Ok(words[0]);
        };
        let found = words.iter().find(|word| **word == text);
        found.copied().ok_or_else(|| {
            Wrong::bad(
                format!("{name} is {text:?}"),
                format!(
                    "it is one of {}; {} if not given",
                    words.join(", "),
                    words[0]
                ),
            )
        })
    }
}

/// As forms are written: `+` is a space.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let high = digit(rest.next()?)?;
                let low = digit(rest.next()?)?;
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["q", "page", "kind"];

    #[test]
    fn values_are_decoded() {
        let query = Query::read(Some("q=a%20b+c%C3%A4&page=3&&kind="), KNOWN).unwrap();
        assert_eq!(query.text("q"), Some("a b cä"));
        assert_eq!(query.number("page", 1, 1, 10).unwrap(), 3);
        assert_eq!(query.one_of("kind", &["recent", "slow"]).unwrap(), "recent");
        assert!(Query::read(None, &[]).unwrap().text("q").is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        let wrong = |text: &str| Query::read(Some(text), KNOWN).unwrap_err().to_string();
        assert!(wrong("pgae=3").contains("\"pgae\" is no parameter"));
        assert!(wrong("q=1&q=2").contains("twice"));
        assert!(wrong("q=%f").contains("cannot be read"));
        assert!(wrong("q=%ff").contains("cannot be read"));
        let query = Query::read(Some("page=0&kind=fast"), KNOWN).unwrap();
        let page = query.number("page", 1, 1, 10).unwrap_err().to_string();
        assert!(
            page.contains("page is \"0\"") && page.contains("from 1 to 10"),
            "{page}"
        );
        let kind = query
            .one_of("kind", &["recent", "slow"])
            .unwrap_err()
            .to_string();
        assert!(kind.contains("one of recent, slow"), "{kind}");
    }
}
