//! Runs one job repeatedly, for `counts.py` to count its instructions: `bench_counts JOB TIMES`.
//! Further arguments are ignored; only jobs in Python use them.

#[allow(dead_code, reason = "each bench uses a part")]
mod inputs;

use std::hint::black_box;
use std::process::ExitCode;

use _core::webhook::{Key, Webhook, verify};
use inputs::{ID, SECRET, TIMESTAMP, parse, tokens};

/// The number of token events in the parsed stream.
const EVENTS: usize = 1000;

fn parser(times: usize) -> bool {
    let stream = tokens(EVENTS);
    (0..times).all(|_| parse(black_box(&stream)).is_some_and(|(seen, _)| seen == EVENTS))
}

fn webhook(times: usize) -> bool {
    let Ok(key) = Key::parse(SECRET) else {
        return false;
    };
    let body = vec![b'x'; 1 << 10];
    let header = key.sign(ID, TIMESTAMP, &body);
    let webhook = Webhook {
        id: ID,
        timestamp: TIMESTAMP,
        signatures: header.as_bytes(),
        body: &body,
    };
    (0..times).all(|_| verify(std::slice::from_ref(&key), black_box(&webhook), None).is_ok())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [job, times, ..] = arguments.as_slice() else {
        return ExitCode::FAILURE;
    };
    let is_done = match (job.as_str(), times.parse()) {
        ("parser", Ok(times)) => parser(times),
        ("webhook", Ok(times)) => webhook(times),
        _ => false,
    };
    if is_done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
