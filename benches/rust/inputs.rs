//! Inputs shared by the Rust benchmarks.

use std::hint::black_box;

use _core::stream::sse::Parser;

/// The size of one read from a socket, in bytes.
pub const PIECE: usize = 16 << 10;

/// The secret of the webhooks, and their headers.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const ID: &[u8] = b"msg_p5jXN8AQM9LWM0D4loKWxJek";
pub const TIMESTAMP: &[u8] = b"1614265330";

/// Return a language model's stream with `count` tokens, one per event.
pub fn tokens(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("id: 1690212292:{n}\nevent: output\ndata:  token\n\n").into_bytes())
        .collect()
}

/// Parse a stream piece by piece; return the number of its events, and the size of their data.
pub fn parse(stream: &[u8]) -> Option<(usize, usize)> {
    let (mut parser, mut seen, mut size) = (Parser::new(64 << 20), 0, 0);
    for piece in stream.chunks(PIECE) {
        let fed = parser.feed(piece, |event| {
            seen += 1;
            size += black_box(event.data).len();
        });
        fed.ok()?;
    }
    Some((seen, size))
}
