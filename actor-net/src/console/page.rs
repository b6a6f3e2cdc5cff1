//! The files of the page, which are part of the program: nothing is loaded from elsewhere.

use std::sync::OnceLock;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use hyper::{Response, StatusCode};
use ring::digest;

use super::answer::{Answer, typed};

/// A file of the page: where it is served, its type, its content.
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

macro_rules! files {
    ($($name:literal,)*) => {
        /// By their names; the first is also what `/` gives. The test sees to it that none of the directory is missing.
        const FILES: &[File] = &[$(File {
            path: concat!("/", $name),
            content_type: content_type($name),
            content: include_bytes!(concat!("page/", $name)),
        },)*];
    };
}

files! {
    "index.html",
    "actor.js",
    "actors.js",
    "api.js",
    "app.js",
    "asks.js",
    "chart.js",
    "circles.js",
    "cluster.js",
    "dialogs.js",
    "dom.js",
    "failures.js",
    "fates.js",
    "format.js",
    "graph.js",
    "icon.svg",
    "leaks.js",
    "letters.js",
    "machine.js",
    "map.js",
    "overview.js",
    "parts.js",
    "peers.js",
    "sampling.js",
    "series.js",
    "shards.js",
    "stalls.js",
    "style.css",
    "theme.js",
    "trace.js",
    "traces.js",
    "types.js",
}

/// By how the name ends.
const fn content_type(name: &str) -> &'static str {
    match name.as_bytes() {
        [.., b'.', b'h', b't', b'm', b'l'] => "text/html; charset=utf-8",
        [.., b'.', b'c', b's', b's'] => "text/css; charset=utf-8",
        [.., b'.', b'j', b's'] => "text/javascript; charset=utf-8",
        [.., b'.', b's', b'v', b'g'] => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The file of that path, or that the browser's copy of it is still right.
pub(super) fn file(path: &str, headers: &HeaderMap) -> Option<Answer> {
    let path = if path == "/" { FILES[0].path } else { path };
    let at = FILES.iter().position(|file| file.path == path)?;
    let File {
        content_type,
        content,
        ..
    } = *FILES.get(at)?;
    let tag = tags().get(at)?;
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().trim_start_matches("W/") == tag);
    let mut answer = if known {
        let mut unchanged = Response::new(Full::default());
        *unchanged.status_mut() = StatusCode::NOT_MODIFIED;
        unchanged
    } else {
        typed(content_type, Bytes::from_static(content))
    };
    let headers = answer.headers_mut();
    // Kept, and asked about each time: a new version of the program has new files under the same names.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(ETAG, tag);
    }
    Some(answer)
}

/// A tag for each file: a part of its hash.
fn tags() -> &'static [String] {
    static TAGS: OnceLock<Vec<String>> = OnceLock::new();
    TAGS.get_or_init(|| {
        let tag = |file: &File| {
            let hash = digest::digest(&digest::SHA256, file.content);
            let hex: String = hash.as_ref()[..8]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("\"{hex}\"")
        };
        FILES.iter().map(tag).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/src/console/page");
        let mut there: Vec<String> = std::fs::read_dir(directory)
            .expect("the page's directory")
            .map(|entry| format!("/{}", entry.expect("an entry").file_name().display()))
            .collect();
        there.sort();
        let mut served: Vec<&str> = FILES.iter().map(|file| file.path).collect();
        served.sort_unstable();
        assert_eq!(there, served, "the table of this file and the directory");
        assert_eq!(FILES[0].path, "/index.html");
        for file in FILES {
            assert_ne!(
                file.content_type, "application/octet-stream",
                "{}",
                file.path
            );
        }
    }

    #[test]
    fn a_copy_that_is_still_right_is_not_sent_again() {
        let none = HeaderMap::new();
        let first = file("/", &none).expect("the page");
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].clone();
        let with = |tag: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(tag).expect("a value"));
            file("/index.html", &headers).expect("the page").status()
        };
        assert_eq!(with(tag.to_str().expect("ASCII")), StatusCode::NOT_MODIFIED);
        assert_eq!(with("\"other\""), StatusCode::OK);
        assert!(file("/nothing.js", &none).is_none());
        assert!(file("/page/../index.html", &none).is_none());
    }
}
