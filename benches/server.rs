//! A server that is never the bottleneck: it answers every request with the same prediction, and the list of predictions with a
//! page of 100.
//!
//! `bench_server [PORT]` prints the port it listens on. One thread; requests are not parsed beyond their end.

use std::io::Write as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = include_str!("prediction.json");

/// Bytes of logs that each prediction of the page has, so that the page has 200 KB.
const LOGS: usize = 2000;

fn page() -> String {
    let line = "  2%|▏         | 1/50 [00:00<00:11,  4.21it/s]\\n";
    let size = LOGS.saturating_sub(BODY.len()) / line.len();
    let one = BODY.trim_end().replacen("\"logs\":\"", &format!("\"logs\":\"{}", line.repeat(size)), 1);
    format!("{{\"next\":null,\"previous\":null,\"results\":[{}]}}", vec![one; 100].join(","))
}

fn answer(body: &str) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nratelimit-remaining: 2999\r\nratelimit-reset: 1\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn serve(mut socket: TcpStream, one: &'static [u8], page: &'static [u8]) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !request.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        socket.write_all(if request.starts_with(b"GET /v1/predictions ") { page } else { one }).await?;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let one: &'static [u8] = Vec::leak(answer(BODY.trim_end()));
    let page: &'static [u8] = Vec::leak(answer(&page()));
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move { serve(socket, one, page).await });
    }
}
