//! A server that is never the bottleneck: it answers every request with the same prediction, the
//! list of predictions with a page of 100 or of what `limit=` says, what is under `/stream/` with a
//! stream of events, and what is under `/file/` with a file.
//!
//! `bench_server [PORT]` prints the port it listens on, and on the next line that of files and
//! POSTs over TLS. One thread; of a request that is not about files only the path is read, and its
//! end.
//!
//! | path | answer |
//! |---|---|
//! | `/late/v1/…` | the prediction, 4 ms later |
//! | `/file/BYTES`, `/file/BYTES/NAME` | so many bytes, or as many as the header `Range: bytes=N-` leaves |
//! | `POST /v1/files` | the record of a file, after the whole body |
//! | `POST /v1/models/file/BYTES/predictions` | the prediction, whose output is a file of so many bytes at this server |
//! | `POST /v1/models/slow/NAME/predictions` | the prediction, which is not done |
//! | `POST /v1/models/KIND/SIZE/predictions`, else | the prediction, whose stream is `/stream/KIND/SIZE` |
//! | `POST` of anything else | the prediction, after the whole body |
//! | `/received` | the beginning of the last body, whose size is in the header `Received` |
//! | `/clock` | what the server's clock says, in nanoseconds |
//! | `/stream/blocks/COUNT` | events, as many as fit in a chunk of 64 KiB |
//! | `/stream/chunks/COUNT` | events, each its own chunk |
//! | `/stream/sized/BYTES` | events of so many bytes each, 4 MiB of them, in chunks of 64 KiB or more |
//! | `/stream/first` | a comment and an event, then the end |
//! | `/stream/big/BYTES` | one event, in chunks of 16 KiB |
//! | `/stream/idle` | a comment and an event, and then nothing |
//! | `/stream/paced`, `/stream/paced/0` | a comment and an event, and then what `/pace` says |
//! | `/pace/MILLISECONDS/EVENTS` | begins now: so many events for every open `/stream/paced`, one each so many milliseconds |
//! | `/pace/0/EVENTS` | the same, as fast as each is read |
//! | `/readers/PORT/COUNT/PATH` | opens so many readers of another server's stream; how many have an event, when all have |
//! | `/read` | what they have seen so far, as JSON |

mod body;
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

/// Bytes of logs that each prediction of the page has, so that the page has 200 KB.
const LOGS: usize = 2000;

/// After this, a client has nothing to do but to wait.
const LATE: Duration = Duration::from_millis(4);

/// What any connection needs.
struct Site {
    one: Vec<u8>,
    /// Of 1, 10, 100 and 1,000 predictions.
    pages: [Vec<u8>; 4],
    pace: mpsc::UnboundedSender<Order>,
}

fn page(count: usize) -> String {
    let line = "  2%|▏         | 1/50 [00:00<00:11,  4.21it/s]\\n";
    let size = LOGS.saturating_sub(BODY.len()) / line.len();
    let one = BODY.trim_end().replacen(
        "\"logs\":\"",
        &format!("\"logs\":\"{}", line.repeat(size)),
        1,
    );
    format!(
        "{{\"next\":null,\"previous\":null,\"results\":[{}]}}",
        vec![one; count].join(",")
    )
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let head =
        "Content-Type: application/json\r\nratelimit-remaining: 2999\r\nratelimit-reset: 1\r\n";
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
            // 1, 10, 100 or 1000: the number of its digits tells which.
            let digits = rest.iter().take_while(|each| each.is_ascii_digit()).count();
            let Some(page) = site.pages.get(digits.saturating_sub(1)) else {
                return Ok(());
            };
            socket.write_all(page).await?;
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
        pages: [1, 10, 100, 1000].map(|count| answer("200 OK", &page(count))),
        pace,
    }));
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move { serve(socket, site).await });
    }
}
