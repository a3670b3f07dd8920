//! Waiting until a prediction should be polled.
//!
//! The waiters read the list of recent predictions in turn, one at a time for all of them: a task
//! for it could outlive them.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::{sleep, sleep_until};
use url::Url;

use super::pace::{Pace, Waiter};
use crate::clock::deadline;
use crate::http::exchange;
use crate::http::pool::Pool;
use crate::http::request::Request;

/// The maximum number of pages that are read, of a hundred predictions each.
const MAX_PAGES: usize = 5;
/// The maximum size of a page, in bytes. Predictions with large inputs are polled one by one.
const MAX_PAGE: usize = 4 << 20;
/// The interval at which a waiter checks the number of waiters.
const RECOUNT: Duration = Duration::from_millis(500);
/// How long a prediction is not polled after the list showed it as running.
const FRESH: Duration = Duration::from_secs(5);

/// A page of the list of predictions.
#[derive(Deserialize)]
struct Page {
    next: Option<String>,
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: String,
    status: String,
    completed_at: Option<String>,
}

impl Item {
    fn has_ended(&self) -> bool {
        match self.status.as_str() {
            "succeeded" | "failed" | "canceled" | "aborted" => true,
            "starting" | "processing" => false,
            // A prediction of unknown status has ended if it has a completion time.
            _ => self.completed_at.is_some(),
        }
    }
}

/// A prediction or a training that is waited for.
pub(crate) struct Target {
    pub(crate) id: String,
    /// How long it has been waited for.
    pub(crate) age: Duration,
    /// Whether its progress is wanted, and not only its end.
    pub(crate) has_progress: bool,
    /// The request for the list of predictions; None if the list does not contain it.
    pub(crate) list: Option<Request>,
}

/// Wait until a prediction should be polled.
pub(crate) async fn wait_for_turn(pool: &Pool, pace: &Pace, target: &Target) {
    let waiter = pace.join(&target.id);
    let poll = async {
        let (mut start, jitter) = (Instant::now(), fastrand::f64());
        loop {
            let now = Instant::now();
            let allowed = pool.shared.rate_limit.per_second(now);
            let due = deadline(start, pace.interval(target.age, allowed, jitter));
            if now < due {
                // Waits in steps, since the interval becomes shorter when there are fewer waiters.
                sleep_until(due.min(now + RECOUNT).into()).await;
            } else if target.has_progress || !is_fresh(&waiter) || pace.next_list(now).is_none() {
                return;
            } else {
                start = now;
            }
        }
    };
    let list = async {
        match &target.list {
            Some(list) => read_lists(pool, pace, list).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = waiter.ended.notified() => {}
        () = poll => {}
        never = list => match never {},
    }
}

fn is_fresh(waiter: &Waiter<'_>) -> bool {
    waiter
        .listed()
        .is_some_and(|listed| listed.elapsed() < FRESH)
}

/// Read the list for all waiters, when it is this waiter's turn to do so.
async fn read_lists(pool: &Pool, pace: &Pace, list: &Request) -> Infallible {
    let _reader = pace.list_reader.lock().await;
    loop {
        match pace.next_list(Instant::now()) {
            None => sleep(RECOUNT).await,
            Some(time) if time > Instant::now() => sleep_until(time.into()).await,
            Some(_) => {
                let helps = read_list(pool, pace, list).await;
                pace.finish_list(helps, Instant::now());
            }
        }
    }
}

/// Read the list, and return whether it contains any of the predictions.
async fn read_list(pool: &Pool, pace: &Pace, list: &Request) -> bool {
    let now = Instant::now();
    let mut request = Request {
        retries: 0,
        max_bytes: MAX_PAGE,
        ..list.clone()
    };
    let (mut helps, mut queries) = (false, HashSet::new());
    for _ in 0..MAX_PAGES {
        let Ok(response) = exchange::send(pool, &request).await else {
            break;
        };
        let Ok(page) = serde_json::from_slice::<Page>(&response.body) else {
            break;
        };
        let items = page
            .results
            .iter()
            .map(|item| (item.id.as_str(), item.has_ended()));
        helps |= pace.note_page(items, now);
        // Only the query of the link is used, since the token must not go elsewhere.
        let next = page
            .next
            .and_then(|next| Some(Url::parse(&next).ok()?.query()?.to_owned()));
        match next {
            Some(query) if pace.has_unlisted(now) && queries.insert(query.clone()) => {
                request.url.set_query(Some(&query));
            }
            _ => break,
        }
    }
    helps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completed_at_decides_only_for_a_status_that_nobody_knows() {
        let has_ended = |status: &str, completed: bool| {
            let completed_at = completed.then(|| "2026-01-01T00:00:00Z".to_owned());
            Item {
                id: String::new(),
                status: status.to_owned(),
                completed_at,
            }
            .has_ended()
        };
        for status in ["succeeded", "failed", "canceled", "aborted"] {
            assert!(
                has_ended(status, false) && has_ended(status, true),
                "{status}"
            );
        }
        for status in ["starting", "processing"] {
            assert!(
                !has_ended(status, false) && !has_ended(status, true),
                "{status}"
            );
        }
        assert!(has_ended("dreamt", true) && !has_ended("dreaming", false));
    }
}
