//! How fast the parser of event streams is, alone: one JSON object on one line.
//!
//! Fed in pieces of 16 KiB, as a socket gives them: token events, and events of 1 MB.

#[allow(dead_code, reason = "each bench uses a part")]
#[path = "rust/inputs.rs"]
mod inputs;

use std::time::{Duration, Instant};

use inputs::{parse, tokens};

const ROUNDS: usize = 15;

fn median(stream: &[u8], events: usize) -> Option<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let (seen, size) = parse(stream)?;
        times.push(start.elapsed());
        if seen != events || size == 0 {
            return None;
        }
    }
    times.sort_unstable();
    times.get(ROUNDS / 2).copied()
}

fn main() {
    let long = [b"event: output\ndata: ".as_slice(), &vec![b'x'; 1_000_000], b"\n\n"].concat().repeat(50);
    match (median(&tokens(200_000), 200_000), median(&long, 50)) {
        (Some(token), Some(event)) => {
            let nanoseconds = token.as_secs_f64() * 1e9 / 200_000.0;
            let gigabytes = f64::from(u32::try_from(long.len()).unwrap_or_default()) / 1e9 / event.as_secs_f64();
            println!("{{\"token_ns\": {nanoseconds:.1}, \"long_gb_per_s\": {gigabytes:.2}}}");
        }
        _ => println!("{{\"error\": \"the parser lost events\"}}"),
    }
}
