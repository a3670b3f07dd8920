//! Sends files as fast as the client reads them, and answers uploads.

use std::io::Result;
use std::sync::LazyLock;

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::body::{self, LAST};
use crate::{BODY, answer, echo};

/// The period of a file's content, in bytes, and the size of one write. No buffer has this size, so
/// a misplaced block is detected.
const PERIOD: usize = 262_147;

/// The stream URL in `prediction.json`.
const STREAM: &str = "https://stream.replicate.com/v1/streams/gm3qorzdhgbfurvjtvhg6dckhu";

/// The end of the head of a request or a response.
const END: &[u8] = b"\r\n\r\n";

/// One period of the content of every file, as `benches/jobs/file_content.py` generates it.
static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(PERIOD + 8);
    while bytes.len() < PERIOD {
        // Marsaglia's xorshift, which is short in any language.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(PERIOD);
    bytes
});

/// Read the head of a request or a response, and the bytes that arrive with it. Return false if the
/// connection ended before.
pub async fn read_head<S: AsyncRead + Unpin>(
    socket: &mut S,
    request: &mut Vec<u8>,
) -> Result<bool> {
    request.clear();
    loop {
        // The head of a POST or a response may be followed by a part of its body.
        if request.ends_with(END)
            || (!request.starts_with(b"GET ") && memmem::find(request, END).is_some())
        {
            return Ok(true);
        }
        if socket.read_buf(request).await? == 0 {
            return Ok(false);
        }
    }
}

/// Answer a request that concerns files, or return false for any other. `scheme` is that of the
/// server's URL.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    request: &[u8],
    scheme: &str,
) -> Result<bool> {
    if request.starts_with(b"POST ") {
        take(socket, request, scheme).await?;
    } else if request.starts_with(b"GET /file/") {
        give(socket, &String::from_utf8_lossy(request)).await?;
    } else if request.starts_with(b"GET /received ") {
        let answer = LAST.lock().map(|last| last.told()).unwrap_or_default();
        socket.write_all(&answer).await?;
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Return the value of a header.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(each, _)| each.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

async fn give<S: AsyncWrite + Unpin>(socket: &mut S, head: &str) -> Result<()> {
    let size: u64 = head
        .split(['/', ' '])
        .nth(3)
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    let from = header(head, "range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse()
            .ok()
    });
    let start: u64 = from.unwrap_or_default();
    let status = match from {
        Some(start) => format!(
            "206 Partial Content\r\nContent-Range: bytes {start}-{}/{size}",
            size.saturating_sub(1)
        ),
        None => "200 OK".to_owned(),
    };
    let mut left = size.saturating_sub(start);
    let about = format!(
        "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nETag: \"{size}\""
    );
    socket
        .write_all(
            format!("HTTP/1.1 {status}\r\n{about}\r\nContent-Length: {left}\r\n\r\n").as_bytes(),
        )
        .await?;
    let mut place = usize::try_from(start).unwrap_or_default() % PERIOD;
    while left > 0 {
        let rest = PATTERN.get(place..).unwrap_or_default();
        let block = usize::try_from(left)
            .ok()
            .and_then(|left| rest.get(..left))
            .unwrap_or(rest);
        socket.write_all(block).await?;
        left -= u64::try_from(block.len()).unwrap_or_default();
        place = 0;
    }
    // TLS buffers what was written.
    socket.flush().await
}

async fn take<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    request: &[u8],
    scheme: &str,
) -> Result<()> {
    let end = memmem::find(request, END).unwrap_or_default() + END.len();
    let (head, begun) = request.split_at(end);
    let head = String::from_utf8_lossy(head);
    let size = body::receive(socket, &head, begun).await?;
    let host = header(&head, "host").unwrap_or_default();
    let told = match head
        .split(['/', ' '])
        .skip(2)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["v1", "files", ..] => record(size, host),
        ["v1", "models", "file", bytes, ..] => BODY
            .trim_end()
            .replace("hello Alice", &format!("{scheme}://{host}/file/{bytes}")),
        ["v1", "models", "echo", ..] => {
            // The body was kept last by this very request: there is one thread, which has not
            // waited since.
            LAST.lock()
                .map(|last| echo::prediction(last.beginning()))
                .unwrap_or_default()
        }
        ["v1", "models", "slow", ..] => BODY.trim_end().replace("succeeded", "processing"),
        ["v1", "models", kind, size, "predictions", ..] => BODY.trim_end().replacen(
            STREAM,
            &format!("{scheme}://{host}/stream/{kind}/{size}"),
            1,
        ),
        _ => BODY.trim_end().to_owned(),
    };
    socket.write_all(&answer("201 Created", &told)).await?;
    socket.flush().await
}

/// Return a file record as Replicate's API does, with the size of the whole request body instead of
/// the file's.
fn record(size: u64, host: &str) -> String {
    let when = r#""created_at":"2024-08-22T12:26:51.079Z","expires_at":"2024-08-23T12:26:51.079Z""#;
    let sums = format!(
        r#"{{"sha256":"{}","md5":"{}"}}"#,
        "0".repeat(64),
        "0".repeat(32)
    );
    format!(
        r#"{{"id":"bench","name":"file","content_type":"application/octet-stream","size":{size},"etag":"bench","checksums":{sums},
        "metadata":{{}},{when},"urls":{{"get":"http://{host}/file/{size}"}}}}"#
    )
}
