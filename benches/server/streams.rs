//! Streams that are sent as fast as the client reads.

use std::io::{Result, Write as _};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The approximate size of one write, in bytes.
const BLOCK: usize = 64 * 1024;
/// The size of a chunk of a big event, in bytes.
const PIECE: usize = 16 * 1024;
/// The total size of the data of a `sized` stream, in bytes.
const TOGETHER: u64 = 4 << 20;
/// Space for the last event of a block, in bytes.
const SPARE: usize = 256;

/// Append a chunk of the chunked transfer encoding.
pub fn chunk(out: &mut Vec<u8>, payload: &[u8]) -> Result<()> {
    write!(out, "{:x}\r\n", payload.len())?;
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Append the last event and the end of the body.
pub fn end(out: &mut Vec<u8>) -> Result<()> {
    chunk(out, b"id: end\nevent: done\ndata: {}\n\n")?;
    out.extend_from_slice(b"0\r\n\r\n");
    Ok(())
}

/// Return the head, the comment and the first event of a stream that waits, for a single write.
pub fn opening() -> Result<Vec<u8>> {
    let mut out = Vec::from(HEAD);
    chunk(&mut out, b": hi\n\n")?;
    let mut payload = Vec::new();
    event(&mut payload, 0)?;
    chunk(&mut out, &payload)?;
    Ok(out)
}

fn event(out: &mut Vec<u8>, number: u64) -> Result<()> {
    write!(
        out,
        "id: 1690212292:{number}\nevent: output\ndata:  token\n\n"
    )
}

/// Send a stream of a kind. `size` is in events or in bytes, depending on the kind.
pub async fn send(socket: &mut TcpStream, kind: &str, size: u64) -> Result<()> {
    match kind {
        "blocks" => send_blocks(socket, size, event).await,
        "chunks" => send_chunks(socket, size).await,
        "sized" => {
            let text = "x".repeat(usize::try_from(size).unwrap_or_default());
            let sized = |out: &mut Vec<u8>, number| {
                write!(
                    out,
                    "id: 1690212292:{number}\nevent: output\ndata: {text}\n\n"
                )
            };
            send_blocks(socket, TOGETHER.div_euclid(size.max(1)), sized).await
        }
        "big" => send_big(socket, usize::try_from(size).unwrap_or_default()).await,
        "first" => {
            socket.write_all(&opening()?).await?;
            finish(socket, Vec::new()).await
        }
        _ => {
            socket.write_all(&opening()?).await?;
            // Keep the stream open until the client closes it.
            let _ = socket.read_u8().await?;
            Ok(())
        }
    }
}

async fn finish(socket: &mut TcpStream, mut out: Vec<u8>) -> Result<()> {
    end(&mut out)?;
    socket.write_all(&out).await
}

async fn send_blocks(
    socket: &mut TcpStream,
    count: u64,
    event: impl Fn(&mut Vec<u8>, u64) -> Result<()>,
) -> Result<()> {
    let mut out = Vec::with_capacity(BLOCK + SPARE);
    let mut payload = Vec::with_capacity(BLOCK + SPARE);
    out.extend_from_slice(HEAD.as_bytes());
    for number in 0..count {
        event(&mut payload, number)?;
        if payload.len() >= BLOCK - SPARE {
            chunk(&mut out, &payload)?;
            socket.write_all(&out).await?;
            out.clear();
            payload.clear();
        }
    }
    // An empty chunk would end the body.
    if !payload.is_empty() {
        chunk(&mut out, &payload)?;
    }
    finish(socket, out).await
}

async fn send_chunks(socket: &mut TcpStream, count: u64) -> Result<()> {
    socket.write_all(HEAD.as_bytes()).await?;
    send_rest(socket, count).await
}

/// Send events, each in its own chunk, and the end.
pub async fn send_rest(socket: &mut TcpStream, count: u64) -> Result<()> {
    let mut out = Vec::with_capacity(BLOCK + SPARE);
    let mut payload = Vec::with_capacity(SPARE);
    for number in 0..count {
        payload.clear();
        event(&mut payload, number)?;
        chunk(&mut out, &payload)?;
        if out.len() >= BLOCK - SPARE {
            socket.write_all(&out).await?;
            out.clear();
        }
    }
    finish(socket, out).await
}

async fn send_big(socket: &mut TcpStream, size: usize) -> Result<()> {
    // Cached, so that the cost of creating it is not measured.
    static MADE: Mutex<Option<(usize, Arc<Vec<u8>>)>> = Mutex::new(None);
    let known = MADE
        .lock()
        .ok()
        .and_then(|made| made.clone())
        .filter(|(known, _)| *known == size);
    let wire = match known {
        Some((_, wire)) => wire,
        None => {
            let wire = Arc::new(big(size)?);
            if let Ok(mut made) = MADE.lock() {
                *made = Some((size, wire.clone()));
            }
            wire
        }
    };
    for piece in wire.chunks(PIECE) {
        socket.write_all(piece).await?;
    }
    Ok(())
}

/// Return a whole response with one big event, in chunks.
fn big(size: usize) -> Result<Vec<u8>> {
    let mut payload = Vec::from("id: 1690212292:0\nevent: output\ndata: ");
    payload.resize(payload.len() + size, b'x');
    payload.extend_from_slice(b"\n\n");
    let mut out = Vec::from(HEAD);
    for piece in payload.chunks(PIECE) {
        chunk(&mut out, piece)?;
    }
    end(&mut out)?;
    Ok(out)
}
