//! The benchmark server. It must never be the bottleneck: it has one thread, and sends prepared
//! responses.
//!
//! `bench_server [PORT]` prints the port for plain HTTP, and on the next line the port for TLS. The
//! TLS port serves files, POST requests and the one prediction only.
//!
//! | request | response |
//! |---|---|
//! | `/v1/predictions`, `/v1/predictions?limit=COUNT` | a page of 100 predictions, or of 1, 10, 100 or 1000 |
//! | `/v1/predictions?left=COUNT` | a page of 100, with the address of the next until COUNT is 0 |
//! | `/v1/…` | a prediction, always the same |
//! | `/late/v1/…` | the prediction, after 4 ms |
//! | `/file/BYTES`, `/file/BYTES/NAME` | a file of that size, or its rest with the header `Range: bytes=N-` |
//! | `POST /v1/files` | a file record, after the whole body |
//! | `POST /v1/models/file/BYTES/predictions` | the prediction, with `/file/BYTES` as its output |
//! | `POST /v1/models/slow/NAME/predictions` | the prediction, still processing |
//! | `POST /v1/models/echo/NAME/predictions` | the prediction with an id of its own, and the input's text `prompt` as its output |
//! | `/created` | how many predictions of `echo` models were created |
//! | `POST /v1/models/KIND/SIZE/predictions`, other kinds | the prediction, with `/stream/KIND/SIZE` as its stream |
//! | any other `POST` | the prediction, after the whole body |
//! | `/received` | the first MiB of the last request body; its size is in the header `Received` |
//! | `/clock` | nanoseconds since the server's clock started |
//! | `/stream/blocks/COUNT` | COUNT events, in chunks of up to 64 KiB |
//! | `/stream/chunks/COUNT` | COUNT events, each in its own chunk |
//! | `/stream/sized/BYTES` | events with BYTES of data each, 4 MiB in total, in chunks of about 64 KiB or more |
//! | `/stream/first` | a comment, an event, and the end |
//! | `/stream/big/BYTES` | one event with BYTES of data, in chunks of 16 KiB |
//! | `/stream/idle` | a comment and an event; the stream stays open |
//! | `/stream/paced`, `/stream/paced/0` | a comment and an event; `/pace` starts the rest |
//! | `/pace/MILLISECONDS/EVENTS` | starts sending EVENTS events to every open `/stream/paced` at this interval; returns the start time |
//! | `/pace/0/EVENTS` | the same, as fast as the client reads |
//! | `/readers/PORT/COUNT/PATH` | opens COUNT readers of another server's stream; returns how many have received an event |
//! | `/read` | the readers' counts and latencies so far, as JSON |

mod body;
mod echo;
mod files;
mod pace;
mod readers;
mod secure;
mod streams;

use std::io::Write as _;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use pace::{Order, clock};
use readers::{READERS, Readers};

const BODY: &str = include_str!("prediction.json");

/// The size that logs give each prediction of a page, in bytes: a page of 100 has 200 KB.
const LOGS: usize = 2000;

/// The delay of `/late`, after which a client is idle.
const LATE: Duration = Duration::from_millis(4);

/// The state shared by all connections.
struct Site {
    one: Vec<u8>,
    /// Of 1, 10, 100 and 1,000 predictions.
    pages: [Vec<u8>; 4],
    /// The JSON of 100 predictions, for pages that differ in their links.
    results: String,
    pace: mpsc::UnboundedSender<Order>,
}

/// Return the JSON of so many predictions, as a list.
fn results(count: usize) -> String {
    let line = "  2%|▏         | 1/50 [00:00<00:11,  4.21it/s]\\n";
    let size = LOGS.saturating_sub(BODY.len()) / line.len();
    let one = BODY.trim_end().replacen(
        "\"logs\":\"",
        &format!("\"logs\":\"{}", line.repeat(size)),
        1,
    );
    format!("[{}]", vec![one; count].join(","))
}

/// Return a page; `next` is JSON.
fn page(next: &str, results: &str) -> Vec<u8> {
    answer(
        "200 OK",
        &format!("{{\"next\":{next},\"previous\":null,\"results\":{results}}}"),
    )
}

/// Return the page that a request with `left` in its query asks for.
fn page_of_many(request: &[u8], results: &str) -> Vec<u8> {
    let head = String::from_utf8_lossy(request);
    let left: u32 = head
        .split(['=', ' '])
        .nth(2)
        .and_then(|number| number.parse().ok())
        .unwrap_or_default();
    let host = files::header(&head, "host").unwrap_or_default();
    match left.checked_sub(1) {
        Some(left) => page(
            &format!("\"http://{host}/v1/predictions?left={left}\""),
            results,
        ),
        None => page("null", results),
    }
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let head =
        "Content-Type: application/json\r\nratelimit-remaining: 99999\r\nratelimit-reset: 1\r\n";
    format!(
        "HTTP/1.1 {status}\r\n{head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn serve(mut socket: TcpStream, site: &'static Site) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = Vec::with_capacity(4096);
    while files::read_head(&mut socket, &mut request).await? {
        if request.starts_with(b"GET /v1/predictions ") {
            let [_, _, usual, _] = &site.pages;
            socket.write_all(usual).await?;
        } else if let Some(rest) = request.strip_prefix(b"GET /v1/predictions?limit=") {
            // The limit is 1, 10, 100 or 1000: its number of digits selects the page.
            let digits = rest.iter().take_while(|each| each.is_ascii_digit()).count();
            let Some(page) = site.pages.get(digits.saturating_sub(1)) else {
                return Ok(());
            };
            socket.write_all(page).await?;
        } else if request.starts_with(b"GET /v1/predictions?left=") {
            socket
                .write_all(&page_of_many(&request, &site.results))
                .await?;
        } else if request.starts_with(b"GET /v1/") {
            socket.write_all(&site.one).await?;
        } else if request.starts_with(b"GET /late/v1/") {
            tokio::time::sleep(LATE).await;
            socket.write_all(&site.one).await?;
        } else if !files::serve(&mut socket, &request, "http").await? {
            let line = String::from_utf8_lossy(&request);
            let path: Vec<&str> = line
                .split(' ')
                .nth(1)
                .unwrap_or_default()
                .split('/')
                .skip(1)
                .collect();
            match path.as_slice() {
                ["stream", "paced", ..] => {
                    let _ = site.pace.send(Order::Join(socket));
                    return Ok(());
                }
                ["stream", kind, rest @ ..] => {
                    let size = rest
                        .first()
                        .and_then(|number| number.parse().ok())
                        .unwrap_or_default();
                    streams::send(&mut socket, kind, size).await?;
                }
                ["created"] => {
                    socket
                        .write_all(&answer("200 OK", &echo::created().to_string()))
                        .await?
                }
                ["clock"] => {
                    socket
                        .write_all(&answer("200 OK", &clock().to_string()))
                        .await?
                }
                ["pace", interval, events] => {
                    let (Ok(interval), Ok(events)) = (interval.parse(), events.parse()) else {
                        return Ok(());
                    };
                    let start = clock() + pace::HEAD_START;
                    let _ = site.pace.send(Order::Start {
                        start,
                        interval: Duration::from_millis(interval),
                        events,
                    });
                    socket
                        .write_all(&answer("200 OK", &start.to_string()))
                        .await?;
                }
                ["readers", port, count, path @ ..] => {
                    let (Ok(port), Ok(count)) = (port.parse(), count.parse()) else {
                        return Ok(());
                    };
                    let opened = readers::open(port, count, &path.join("/")).await;
                    socket
                        .write_all(&answer("200 OK", &opened.to_string()))
                        .await?;
                }
                ["read"] => {
                    let told = READERS
                        .lock()
                        .ok()
                        .and_then(|readers| readers.as_ref().map(Readers::told))
                        .unwrap_or_default();
                    socket.write_all(&answer("200 OK", &told)).await?;
                }
                _ => return Ok(()),
            }
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let secured = TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "{}\n{}",
        listener.local_addr()?.port(),
        secured.local_addr()?.port()
    );
    std::io::stdout().flush()?;
    let (pace, orders) = mpsc::unbounded_channel();
    tokio::spawn(pace::follow(orders));
    tokio::spawn(secure::listen(secured, secure::acceptor()?));
    let site: &'static Site = Box::leak(Box::new(Site {
        one: answer("200 OK", BODY.trim_end()),
        pages: [1, 10, 100, 1000].map(|count| page("null", &results(count))),
        results: results(100),
        pace,
    }));
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move { serve(socket, site).await });
    }
}
