//! A server for tests, which answers each connection with a script.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use url::Url;

use super::connect::ConnectOptions;
use super::fetch_policy::FetchPolicy;
use super::pool::{Pool, Shared};
use super::request::{ApiOrigin, Body, Request, Timeouts};
use crate::address::Origin;

/// Run a test on a runtime like that of a blocking call.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(test)
}

/// Serve one response per request, in order, each on its own connection, which is then closed;
/// return the base URL and the received requests.
pub(crate) async fn serve<R>(responses: Vec<R>) -> (Url, UnboundedReceiver<String>)
where
    R: AsRef<[u8]> + Send + 'static,
{
    serve_on(responses, false).await
}

/// Serve responses, and with `stay_open` leave the connections open.
pub(crate) async fn serve_on<R>(
    responses: Vec<R>,
    stay_open: bool,
) -> (Url, UnboundedReceiver<String>)
where
    R: AsRef<[u8]> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/v1/", listener.local_addr().unwrap())).unwrap();
    let (sender, requests) = unbounded_channel();
    tokio::spawn(async move {
        let mut open = Vec::new();
        for response in responses {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = sender.send(read_head(&mut connection).await);
            connection.write_all(response.as_ref()).await.unwrap();
            open.extend(stay_open.then_some(connection));
        }
        std::future::pending::<()>().await;
    });
    (url, requests)
}

async fn read_head(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(crate) fn pool(options: ConnectOptions) -> Arc<Pool> {
    let shared = Arc::new(Shared::new(&options));
    Arc::new(Pool::new(Arc::new(options), shared, Arc::default()))
}

/// Return a GET request with a token for the origin of its URL.
pub(crate) fn get(url: Url) -> Request {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer secret"));
    Request {
        method: Method::GET,
        api: Arc::new(ApiOrigin {
            origin: Origin::of(&url),
            headers,
            user_agent: HeaderValue::from_static("test"),
        }),
        url,
        headers: HeaderMap::new(),
        own_headers: HeaderMap::new(),
        body: Body::Empty,
        timeouts: Timeouts {
            read: Some(Duration::from_secs(5)),
            ..Timeouts::default()
        },
        retries: 2,
        max_bytes: 1000,
        is_raw: false,
        fetch_policy: FetchPolicy::Anywhere,
        observer: None,
        abandoned: None,
        takes_turns: false,
    }
}
