//! Scripts: what a client says, and the bytes that must come back.
//!
//! The answers are learned once, with care: each one is parsed and compared with what was stored.
//! From then on every answer must repeat them byte by byte and in order, which costs a client
//! almost nothing and finds every answer that went to the wrong connection.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

/// How many variables a script goes through. Keys and values have 16 bytes.
pub const KEYS: usize = 1000;
/// Stands in an answer for any number of digits: a revision that we cannot know. It is no part
/// of UTF-8, so no answer contains it.
const DIGITS: u8 = 0xff;

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speech {
    /// io.globstash over varlink.
    Varlink,
    /// The protocol of Redis.
    Resp,
    /// The same messages as varlink, given back as they are.
    Echo,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Get,
    Set,
}

impl Operation {
    pub const ALL: [Self; 2] = [Self::Get, Self::Set];

    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "Get",
            Self::Set => "Set",
        }
    }
}

/// The requests for all variables and their answers.
pub struct Script {
    requests: Stream,
    answers: Stream,
    has_digits: bool,
}

impl Script {
    /// Defines the variables and learns what the server at the other end answers to `operation`.
    pub fn learn(
        connection: &mut UnixStream,
        speech: Speech,
        operation: Operation,
    ) -> io::Result<Self> {
        let mut requests = Stream::default();
        let mut answers = Stream::default();
        for number in 0..KEYS {
            let (key, value) = (key(operation, number), value(number));
            let mut request = set(speech, &key, &value);
            let mut answer = converse(connection, speech, &request)?;
            if operation == Operation::Get {
                request = get(speech, &key);
                answer = converse(connection, speech, &request)?;
            }
            check(speech, operation, &value, &request, &answer)?;
            if (speech, operation) == (Speech::Varlink, Operation::Set) {
                answer = without_digits(&answer);
            }
            requests.push(&request);
            answers.push(&answer);
        }
        Ok(Self {
            has_digits: answers.bytes.contains(&DIGITS),
            requests: requests.twice(),
            answers: answers.twice(),
        })
    }

    /// `count` successive requests in one piece, beginning with that for the variable `first`.
    pub fn requests(&self, first: usize, count: usize) -> &[u8] {
        let (start, end) = self.requests.span(first, count);
        &self.requests.bytes[start..end]
    }

    /// Begins to listen to the answers to the same requests.
    pub fn answers(&self, first: usize, count: usize) -> Listener {
        let (at, end) = self.answers.span(first, count);
        Listener { at, end }
    }

    /// How many bytes the first request and its answer have.
    pub fn sizes(&self) -> (usize, usize) {
        (self.requests.starts[1], self.answers.starts[1])
    }
}

/// How much of the expected answers has come.
#[derive(Clone, Copy, Debug)]
pub struct Listener {
    at: usize,
    end: usize,
}

impl Listener {
    /// Takes what was received, which must be what comes next.
    pub fn hear(&mut self, script: &Script, bytes: &[u8]) -> io::Result<()> {
        let expected = &script.answers.bytes[self.at..self.end];
        let agreed = if script.has_digits {
            hear_digits(expected, bytes)
        } else {
            expected.starts_with(bytes).then_some(bytes.len())
        };
        match agreed {
            Some(length) => {
                self.at += length;
                Ok(())
            }
            None => Err(io::Error::other(format!(
                "a wrong answer: expected {:?}, received {:?}",
                String::from_utf8_lossy(expected),
                String::from_utf8_lossy(bytes)
            ))),
        }
    }

    /// Whether everything was answered.
    pub fn is_done(&self) -> bool {
        self.at == self.end
    }
}

/// How many bytes of `expected` were met by `bytes`, unless they differ.
fn hear_digits(expected: &[u8], bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    for &byte in bytes {
        if expected.get(at) == Some(&DIGITS) {
            if byte.is_ascii_digit() {
                continue;
            }
            at += 1;
        }
        if expected.get(at) != Some(&byte) {
            return None;
        }
        at += 1;
    }
    Some(at)
}

/// Messages one behind the other.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Stream {
    fn push(&mut self, message: &[u8]) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(message);
    }

    /// All messages two times over, so that those behind the last are the first again.
    fn twice(mut self) -> Self {
        let length = self.bytes.len();
        self.bytes.extend_from_within(..);
        self.starts.extend_from_within(..);
        for start in &mut self.starts[KEYS..] {
            *start += length;
        }
        self.starts.push(self.bytes.len());
        self
    }

    fn span(&self, first: usize, count: usize) -> (usize, usize) {
        let first = first % KEYS;
        (self.starts[first], self.starts[first + count])
    }
}

/// The key of a variable. What is set is never read, so that what is read keeps its revision.
pub fn key(operation: Operation, number: usize) -> String {
    match operation {
        Operation::Get => format!("g{number:015}"),
        Operation::Set => format!("s{number:015}"),
    }
}

/// The value of a variable.
pub fn value(number: usize) -> String {
    format!("v{number:015}")
}

/// The request for a value.
pub fn get(speech: Speech, key: &str) -> Vec<u8> {
    match speech {
        Speech::Resp => format!("*2\r\n$3\r\nGET\r\n$16\r\n{key}\r\n"),
        Speech::Varlink | Speech::Echo => {
            format!(r#"{{"method":"io.globstash.Get","parameters":{{"key":"{key}"}}}}"#) + "\0"
        }
    }
    .into_bytes()
}

/// The request to store a value.
pub fn set(speech: Speech, key: &str, value: &str) -> Vec<u8> {
    match speech {
        Speech::Resp => format!("*3\r\n$3\r\nSET\r\n$16\r\n{key}\r\n$16\r\n{value}\r\n"),
        Speech::Varlink | Speech::Echo => {
            let parameters = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
            format!(r#"{{"method":"io.globstash.Set","parameters":{parameters}}}"#) + "\0"
        }
    }
    .into_bytes()
}

/// Asks and reads one answer, without hurry.
pub fn converse(
    connection: &mut UnixStream,
    speech: Speech,
    request: &[u8],
) -> io::Result<Vec<u8>> {
    connection.write_all(request)?;
    let mut answer = Vec::new();
    let mut byte = [0];
    loop {
        connection.read_exact(&mut byte)?;
        answer.push(byte[0]);
        let is_whole = match speech {
            Speech::Varlink => byte == [0],
            Speech::Resp => is_whole_resp(&answer),
            Speech::Echo => answer.len() == request.len(),
        };
        if is_whole {
            return Ok(answer);
        }
    }
}

/// Whether this is a status, or a string of 16 bytes with its length before it.
fn is_whole_resp(answer: &[u8]) -> bool {
    let lines = answer.windows(2).filter(|pair| pair == b"\r\n").count();
    lines == if answer[0] == b'$' { 2 } else { 1 }
}

/// Sees that an answer is the right one.
fn check(
    speech: Speech,
    operation: Operation,
    value: &str,
    request: &[u8],
    answer: &[u8],
) -> io::Result<()> {
    let is_right = match (speech, operation) {
        (Speech::Echo, _) => answer == request,
        (Speech::Resp, Operation::Get) => answer == format!("$16\r\n{value}\r\n").as_bytes(),
        (Speech::Resp, Operation::Set) => answer == b"+OK\r\n",
        (Speech::Varlink, _) => {
            let json = answer.strip_suffix(b"\0").unwrap_or(answer);
            let json: serde_json::Value = serde_json::from_slice(json)?;
            let parameters = &json["parameters"];
            json.get("error").is_none()
                && parameters["revision"].as_i64() > Some(0)
                && (operation == Operation::Set || parameters["value"] == value)
        }
    };
    if is_right {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "a wrong answer to {:?}: {:?}",
        String::from_utf8_lossy(request),
        String::from_utf8_lossy(answer)
    )))
}

/// The answer with [`DIGITS`] for each number.
fn without_digits(answer: &[u8]) -> Vec<u8> {
    let mut pattern: Vec<u8> = answer
        .iter()
        .map(|byte| if byte.is_ascii_digit() { DIGITS } else { *byte })
        .collect();
    pattern.dedup_by(|next, last| *next == DIGITS && *last == DIGITS);
    pattern
}
