//! A server that is never the bottleneck: it answers every request with the same prediction.
//!
//! `bench_server [PORT]` prints the port it listens on. One thread; requests are not parsed beyond their end.

use std::io::Write as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = include_str!("prediction.json");

fn answer() -> Vec<u8> {
    let body = BODY.trim_end();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nratelimit-remaining: 2999\r\nratelimit-reset: 1\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn serve(mut socket: TcpStream, answer: &'static [u8]) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = Vec::with_capacity(4096);
    loop {
        request.clear();
        while !request.ends_with(b"\r\n\r\n") {
            if socket.read_buf(&mut request).await? == 0 {
                return Ok(());
            }
        }
        socket.write_all(answer).await?;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "0".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("{}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let answer: &'static [u8] = Vec::leak(answer());
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(async move { serve(socket, answer).await });
    }
}
