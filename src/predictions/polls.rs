//! When it is worth asking for a prediction again.
//!
//! Those who wait look at the list of recent predictions in turn, one at a time for all of them: there is no task of its own that
//! could outlive them.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::time::{sleep, sleep_until};
use url::Url;

use crate::clock::deadline;
use crate::http::exchange::{self as http, Call};
use crate::predictions::pace::{Pace, Turn};
use crate::http::pool::Pool;

/// Pages of a hundred that are looked at.
const MOST_PAGES: usize = 5;
/// Bytes of a page; predictions with large inputs are better asked for one by one.
const LARGEST_PAGE: usize = 4 << 20;
/// How often those who wait look how many they are.
const RECOUNT: Duration = Duration::from_millis(500);
/// A prediction of which the list said so lately that it runs is not asked for.
const FRESH: Duration = Duration::from_secs(5);

/// One page of the list of predictions; other fields are of no interest here.
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
            // A status that nobody knows says nothing.
            _ => self.completed_at.is_some(),
        }
    }
}

/// What is waited for.
pub struct Wanted {
    /// The prediction's id.
    pub id: String,
    /// How long it has been waited for.
    pub age: Duration,
    /// Whether the caller wants to see how it goes, and not only its end.
    pub watched: bool,
    /// The request for the list of predictions; None where the list does not have it.
    pub list: Option<Call>,
}

/// Waits until it is worth asking for it again.
pub async fn turn(pool: &Arc<Pool>, wanted: &Wanted) {
    let pace = &pool.shared.pace;
    let turn = pace.join(&wanted.id);
    let asked = async {
        let (mut since, jitter) = (Instant::now(), fastrand::f64());
        loop {
            let now = Instant::now();
            let due = deadline(since, pace.interval(wanted.age, jitter, now));
            if now < due {
                // Looked at again meanwhile: a crowd may dissolve.
                sleep_until(due.min(now + RECOUNT).into()).await;
            } else if wanted.watched || !is_fresh(&turn) || pace.next_list(now).is_none() {
                return;
            } else {
                since = now;
            }
        }
    };
    tokio::select! {
        () = turn.ended.notified() => {}
        () = asked => {}
        never = async {
            match &wanted.list {
                Some(list) => lead(pool, pace, list).await,
                None => std::future::pending().await,
            }
        } => match never {},
    }
}

fn is_fresh(turn: &Turn<'_>) -> bool {
    turn.seen().is_some_and(|seen| seen.elapsed() < FRESH)
}

/// Looks at the list for all who wait, when it is this one's turn to do so.
async fn lead(pool: &Arc<Pool>, pace: &Pace, list: &Call) -> Infallible {
    let _lead = pace.lead.lock().await;
    loop {
        match pace.next_list(Instant::now()) {
            None => sleep(RECOUNT).await,
            Some(at) if at > Instant::now() => sleep_until(at.into()).await,
            Some(_) => {
                let helps = look(pool, pace, list).await;
                pace.looked(helps, Instant::now());
            }
        }
    }
}

/// Whether the list told of any.
async fn look(pool: &Arc<Pool>, pace: &Pace, list: &Call) -> bool {
    let now = Instant::now();
    let mut call = Call {
        retries: 0,
        limit: LARGEST_PAGE,
        ..list.clone()
    };
    let (mut helps, mut seen) = (false, HashSet::new());
    for _ in 0..MOST_PAGES {
        let Ok(response) = http::send(pool, &call).await else {
            break;
        };
        let Ok(page) = serde_json::from_slice::<Page>(&response.body) else {
            break;
        };
        helps |= pace.listed(
            page.results
                .iter()
                .map(|item| (item.id.as_str(), item.has_ended())),
            now,
        );
        // Only the link's query, as with all pages: it must not lead the token away.
        let next = page
            .next
            .and_then(|next| Url::parse(&next).ok()?.query().map(ToOwned::to_owned));
        match next {
            Some(query) if pace.has_unseen(now) && seen.insert(query.clone()) => {
                call.url.set_query(Some(&query))
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
