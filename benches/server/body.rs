//! Reads request bodies as fast as they arrive, and keeps the first bytes of the last one.

use std::io::{Error, ErrorKind, Result};
use std::sync::Mutex;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::files::header;

/// The maximum size of one read, in bytes.
const BLOCK: usize = 512 * 1024;

/// How many bytes of a body are kept, for clients to check what arrived.
const KEPT: usize = 1024 * 1024;

/// The last body received.
pub static LAST: Mutex<Received> = Mutex::new(Received {
    size: 0,
    beginning: Vec::new(),
});

/// The size and the first bytes of a body.
#[derive(Default)]
pub struct Received {
    size: u64,
    beginning: Vec<u8>,
}

impl Received {
    fn add(&mut self, bytes: &[u8]) {
        self.size += u64::try_from(bytes.len()).unwrap_or_default();
        let room = KEPT.saturating_sub(self.beginning.len());
        self.beginning
            .extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Return the kept bytes.
    pub fn beginning(&self) -> &[u8] {
        &self.beginning
    }

    /// Return a response with the kept bytes, and the size in the header `Received`.
    pub fn told(&self) -> Vec<u8> {
        let head = format!(
            "HTTP/1.1 200 OK\r\nReceived: {}\r\nContent-Length: {}\r\n\r\n",
            self.size,
            self.beginning.len()
        );
        [head.as_bytes(), &self.beginning].concat()
    }
}

/// Read a body to its end and return its size. `begun` holds the bytes that arrived with the head.
pub async fn receive<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    head: &str,
    begun: &[u8],
) -> Result<u64> {
    if header(head, "expect").is_some_and(|what| what.eq_ignore_ascii_case("100-continue")) {
        socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        socket.flush().await?;
    }
    let mut buffer = Vec::with_capacity(BLOCK);
    buffer.extend_from_slice(begun);
    let mut body = Received::default();
    if header(head, "transfer-encoding").is_some() {
        let mut chunks = Chunks::default();
        while !chunks.feed(&buffer, &mut |bytes| body.add(bytes)) {
            more(socket, &mut buffer, u64::MAX).await?;
        }
    } else {
        let length = header(head, "content-length")
            .and_then(|number| number.parse().ok())
            .unwrap_or_default();
        body.add(&buffer);
        while body.size < length {
            more(socket, &mut buffer, length - body.size).await?;
            body.add(&buffer);
        }
    }
    let size = body.size;
    if let Ok(mut last) = LAST.lock() {
        *last = body;
    }
    Ok(size)
}

async fn more<S: AsyncRead + Unpin>(socket: &mut S, buffer: &mut Vec<u8>, most: u64) -> Result<()> {
    buffer.clear();
    match socket.take(most).read_buf(buffer).await? {
        0 => Err(Error::from(ErrorKind::UnexpectedEof)),
        _ => Ok(()),
    }
}

/// An incremental decoder of the chunked transfer encoding.
#[derive(Default)]
pub struct Chunks {
    /// Bytes of the current chunk that have not arrived.
    left: usize,
    /// The received part of the line with the size of the next chunk.
    line: Vec<u8>,
    last: bool,
}

impl Chunks {
    /// Decode the next bytes and pass the content to `body`; return whether the body is complete.
    pub fn feed(&mut self, mut bytes: &[u8], body: &mut impl FnMut(&[u8])) -> bool {
        while !bytes.is_empty() {
            let (data, rest) = bytes.split_at(self.left.min(bytes.len()));
            body(data);
            self.left -= data.len();
            bytes = rest;
            let Some((first, rest)) = bytes.split_first() else {
                break;
            };
            bytes = rest;
            self.line.push(*first);
            if *first == b'\n' && self.end_of_line() {
                return true;
            }
        }
        false
    }

    /// Parse a complete line; return whether it ends the body.
    fn end_of_line(&mut self) -> bool {
        let line = String::from_utf8_lossy(&self.line).trim().to_owned();
        self.line.clear();
        if !line.is_empty() && !self.last {
            self.left = usize::from_str_radix(line.split(';').next().unwrap_or_default(), 16)
                .unwrap_or_default();
            self.last = self.left == 0;
            return false;
        }
        // A blank line also follows the data of each chunk.
        line.is_empty() && self.last
    }
}
