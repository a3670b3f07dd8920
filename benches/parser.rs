//! How fast the parser of event streams is, alone: one JSON object on one line.
//!
//! Fed in pieces of 16 KiB, as a socket gives them: token events, and events of 1 MB.

use std::hint::black_box;
use std::time::{Duration, Instant};

use _core::sse::Parser;

const PIECE: usize = 16 << 10;
const ROUNDS: usize = 15;

fn median(stream: &[u8], events: usize) -> Option<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let (mut parser, mut seen, mut size) = (Parser::new(64 << 20), 0, 0);
        let start = Instant::now();
        for piece in stream.chunks(PIECE) {
            let fed = parser.feed(piece, |event| {
                seen += 1;
                size += black_box(event.data).len();
            });
            fed.ok()?;
        }
        times.push(start.elapsed());
        if seen != events || size == 0 {
            return None;
        }
    }
    times.sort_unstable();
    times.get(ROUNDS / 2).copied()
}

fn main() {
    let tokens: Vec<u8> =
        (0..200_000).flat_map(|n| format!("id: 1690212292:{n}\nevent: output\ndata:  token\n\n").into_bytes()).collect();
    let long = [b"event: output\ndata: ".as_slice(), &vec![b'x'; 1_000_000], b"\n\n"].concat().repeat(50);
    match (median(&tokens, 200_000), median(&long, 50)) {
        (Some(token), Some(event)) => {
            let nanoseconds = token.as_secs_f64() * 1e9 / 200_000.0;
            let gigabytes = f64::from(u32::try_from(long.len()).unwrap_or_default()) / 1e9 / event.as_secs_f64();
            println!("{{\"token_ns\": {nanoseconds:.1}, \"long_gb_per_s\": {gigabytes:.2}}}");
        }
        _ => println!("{{\"error\": \"the parser lost events\"}}"),
    }
}
