//! What the Rust benches are given, the same for all of them.

use std::hint::black_box;

use _core::stream::sse::Parser;

/// Bytes that a socket gives at once.
pub const PIECE: usize = 16 << 10;

/// With what the webhooks are signed, and what their headers say.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub const ID: &[u8] = b"msg_p5jXN8AQM9LWM0D4loKWxJek";
pub const TIMESTAMP: &[u8] = b"1614265330";

/// A language model's stream of so many tokens, each an event.
pub fn tokens(count: usize) -> Vec<u8> {
    (0..count)
        .flat_map(|n| format!("id: 1690212292:{n}\nevent: output\ndata:  token\n\n").into_bytes())
        .collect()
}

/// Parses a stream piece by piece; gives its events, and the bytes of their data.
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
