//! Measures the parser of event streams, and prints one JSON object on one line.
//!
//! The input arrives in pieces of 16 KiB, as from a socket: token events, and events of 1 MB. With
//! the argument `memcpy`, the pieces are only copied: the lower bound for a parser that must keep
//! its input.

#[allow(dead_code, reason = "each bench uses a part")]
mod inputs;

use std::hint::black_box;
use std::time::{Duration, Instant};

use inputs::{PIECE, parse, tokens};

const ROUNDS: usize = 15;

/// Copy the pieces to one buffer; return their total size.
fn copy(stream: &[u8], place: &mut [u8]) -> usize {
    let copied = stream.chunks(PIECE).filter_map(|piece| {
        place
            .get_mut(..piece.len())?
            .copy_from_slice(black_box(piece));
        black_box(&place);
        Some(piece.len())
    });
    copied.sum()
}

/// Return the median time for a stream; None if it was not read completely.
fn median(stream: &[u8], events: usize, is_copied: bool) -> Option<Duration> {
    let (mut times, mut place) = (Vec::new(), vec![0; PIECE]);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let is_whole = if is_copied {
            copy(stream, &mut place) == stream.len()
        } else {
            parse(stream).is_some_and(|(seen, size)| seen == events && size > 0)
        };
        times.push(start.elapsed());
        if !is_whole {
            return None;
        }
    }
    times.sort_unstable();
    times.get(ROUNDS / 2).copied()
}

fn main() {
    let long = [
        b"event: output\ndata: ".as_slice(),
        &vec![b'x'; 1_000_000],
        b"\n\n",
    ]
    .concat()
    .repeat(50);
    let is_copied = std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "memcpy");
    match (
        median(&tokens(200_000), 200_000, is_copied),
        median(&long, 50, is_copied),
    ) {
        (Some(token), Some(event)) => {
            let nanoseconds = token.as_secs_f64() * 1e9 / 200_000.0;
            let gigabytes = f64::from(u32::try_from(long.len()).unwrap_or_default())
                / 1e9
                / event.as_secs_f64();
            println!("{{\"token_ns\": {nanoseconds:.1}, \"long_gb_per_s\": {gigabytes:.2}}}");
        }
        _ => println!("{{\"error\": \"the parser lost events\"}}"),
    }
}
