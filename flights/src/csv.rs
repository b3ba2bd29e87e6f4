//! Lines of comma-separated fields, with the exact place of everything.
//!
//! RFC 4180 without line breaks inside quotes, which no column here can hold: so a line of the file is a
//! line of the table, and a forgotten quote spoils one line and not the rest of the file.

use std::io::{self, BufRead};
use std::ops::Range;

/// A place in the input where something else was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// From 1; the header is line 1.
    pub line: u64,
    /// From 1.
    pub column: usize,
    /// What should stand there.
    pub expected: String,
    /// What does.
    pub found: Found,
}

/// What stood where something else was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// This text, shortened.
    Text(String),
    /// No more fields.
    EndOfLine,
    /// No more lines.
    EndOfFile,
    /// The input broke off, for this reason.
    Broken(String),
}

impl Found {
    /// The field as it stands in the file, on one line and not too long, whatever its bytes.
    pub(crate) fn text(field: &[u8]) -> Self {
        const SHOWN: usize = 40;
        let shown = String::from_utf8_lossy(&field[..field.len().min(SHOWN * 4)]).into_owned();
        match shown.char_indices().nth(SHOWN) {
            Some((end, _)) => Self::Text(format!("{}…", &shown[..end])),
            None => Self::Text(shown),
        }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::EndOfLine => f.write_str("the end of the line"),
            Self::EndOfFile => f.write_str("the end of the file"),
            Self::Broken(why) => write!(f, "that the input breaks off there ({why})"),
        }
    }
}

/// Reads lines and splits them into fields.
pub(crate) struct Lines<R> {
    reader: R,
    /// The number of the line at hand.
    line: u64,
    bytes: Vec<u8>,
    /// The fields of the line at hand, without quotes.
    unquoted: Vec<u8>,
    fields: Vec<Range<usize>>,
}

/// What the next line is.
pub(crate) enum Line {
    /// Its fields are at hand.
    Fields,
    /// It can't be split; the next one may be.
    Malformed(Malformed),
    /// There is none.
    End,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, line: 0, bytes: Vec::new(), unquoted: Vec::new(), fields: Vec::new() }
    }

    /// Goes to the next line.
    ///
    /// # Errors
    ///
    /// Where reading fails: the rest of the input is lost.
    pub(crate) fn next(&mut self) -> Result<Line, Broken> {
        self.bytes.clear();
        let read = self.reader.read_until(b'\n', &mut self.bytes);
        if matches!(read, Ok(0)) {
            return Ok(Line::End);
        }
        self.line += 1;
        if let Err(error) = read {
            let column = 1 + self.bytes.iter().filter(|&&byte| byte == b',').count();
            return Err(Broken { line: self.line, column, error });
        }
        let mut line = self.bytes.as_slice();
        line = line.strip_suffix(b"\n").unwrap_or(line);
        line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.line == 1 {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        Ok(match split(line, &mut self.unquoted, &mut self.fields) {
            Ok(()) => Line::Fields,
            Err(Unquoted { column, expected, found }) => Line::Malformed(Malformed {
                line: self.line,
                column,
                expected: expected.into(),
                found,
            }),
        })
    }

    /// The number of the line at hand, from 1.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Whether the line at hand has nothing in it, not even quotes.
    pub(crate) fn is_blank(&self) -> bool {
        self.bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// How many fields the line at hand has; at least 1.
    pub(crate) fn len(&self) -> usize {
        self.fields.len()
    }

    /// Field `at`, from 0.
    pub(crate) fn field(&self, at: usize) -> Option<&[u8]> {
        Some(&self.unquoted[self.fields.get(at)?.clone()])
    }
}

/// The input could not be read to its end.
#[derive(Debug)]
pub(crate) struct Broken {
    /// The line that breaks off.
    pub line: u64,
    /// The field in which it does, from 1.
    pub column: usize,
    /// Why.
    pub error: io::Error,
}

/// Quotes that don't match.
struct Unquoted {
    column: usize,
    expected: &'static str,
    found: Found,
}

fn split(
    line: &[u8],
    unquoted: &mut Vec<u8>,
    fields: &mut Vec<Range<usize>>,
) -> Result<(), Unquoted> {
    unquoted.clear();
    fields.clear();
    let mut rest = line;
    loop {
        let start = unquoted.len();
        let column = fields.len() + 1;
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            rest = take_quoted(quoted, unquoted).ok_or_else(|| Unquoted {
                column,
                expected: "a closing quote before the end of the line",
                found: Found::text(rest),
            })?;
            if !matches!(rest.first(), None | Some(b',')) {
                let expected = "a comma after the closing quote";
                return Err(Unquoted { column, expected, found: Found::text(rest) });
            }
        } else {
            let end = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
            unquoted.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
        }
        fields.push(start..unquoted.len());
        match rest.strip_prefix(b",") {
            Some(more) => rest = more,
            None => return Ok(()),
        }
    }
}

/// Copies up to the closing quote, and returns what follows it; two quotes stand for one.
fn take_quoted<'l>(mut rest: &'l [u8], unquoted: &mut Vec<u8>) -> Option<&'l [u8]> {
    loop {
        let quote = rest.iter().position(|&byte| byte == b'"')?;
        unquoted.extend_from_slice(&rest[..quote]);
        rest = &rest[quote + 1..];
        match rest.strip_prefix(b"\"") {
            Some(more) => {
                unquoted.push(b'"');
                rest = more;
            }
            None => return Some(rest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Result<Vec<String>, (usize, &'static str)> {
        let (mut unquoted, mut fields) = (Vec::new(), Vec::new());
        split(line.as_bytes(), &mut unquoted, &mut fields)
            .map_err(|malformed| (malformed.column, malformed.expected))?;
        Ok(fields
            .into_iter()
            .map(|field| String::from_utf8(unquoted[field].to_vec()).unwrap())
            .collect())
    }

    #[test]
    fn a_line_is_split_at_commas_outside_quotes() {
        for (line, expected) in [
            ("", vec![""]),
            ("a,b", vec!["a", "b"]),
            (",", vec!["", ""]),
            ("a,,c,", vec!["a", "", "c", ""]),
            (r#""a,b",c"#, vec!["a,b", "c"]),
            (r#""say ""no""",x"#, vec![r#"say "no""#, "x"]),
            (r#"5" pipe,"","#, vec!["5\" pipe", "", ""]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn quotes_that_do_not_match_are_named_with_their_column() {
        assert_eq!(fields(r#"a,"b"#), Err((2, "a closing quote before the end of the line")));
        assert_eq!(fields(r#""a"b,c"#), Err((1, "a comma after the closing quote")));
    }

    #[test]
    fn lines_end_as_they_do_anywhere_and_are_counted_as_an_editor_counts() {
        let mut lines = Lines::new("\u{feff}a,b\r\n\r\n\nlast".as_bytes());
        let mut seen = Vec::new();
        while let Line::Fields = lines.next().unwrap() {
            seen.push((lines.line(), lines.len(), lines.field(0).unwrap().to_vec()));
        }
        assert_eq!(
            seen,
            [(1, 2, b"a".to_vec()), (2, 1, vec![]), (3, 1, vec![]), (4, 1, b"last".to_vec())]
        );
    }

    #[test]
    fn what_was_found_is_shown_on_one_line_and_shortened() {
        assert_eq!(Found::text(b"a\nb").to_string(), r#""a\nb""#);
        assert_eq!(Found::text(b"\xff\x00").to_string(), "\"\u{fffd}\\0\"");
        let long = Found::text("ä".repeat(1_000).as_bytes()).to_string();
        assert_eq!(long.chars().count(), 43);
    }
}
