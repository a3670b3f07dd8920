//! Finding the prediction of a create request that is still held open, in the list of recent
//! predictions.
//!
//! A prediction is taken to be that of a request only if no other is possible: it has the same
//! model and input, it was created when the request was sent, by the server's clock, and there are
//! as many such predictions as abandoned requests of this process.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

/// Tolerance for a `Date` header in whole seconds, and for the clocks of several servers.
const TOLERANCE: Duration = Duration::from_secs(2);
/// The longest time from a request to the creation of its prediction.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The prediction that a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    model: Option<String>,
    version: Option<String>,
    deployment: Option<String>,
    input: Value,
}

#[derive(Deserialize)]
struct Body {
    version: Option<String>,
    #[serde(default)]
    input: Value,
}

impl Wanted {
    /// Read the URL and the body of a create request; None if its prediction could not be
    /// recognised.
    pub(crate) fn of(url: &Url, body: &[u8]) -> Option<Self> {
        let body: Body = serde_json::from_slice(body).ok()?;
        let mut path = url.path_segments()?.rev();
        if path.next() != Some("predictions") {
            return None;
        }
        let named = |name: Option<&str>, owner: Option<&str>| Some(format!("{}/{}", owner?, name?));
        let (first, second, kind) = (path.next(), path.next(), path.next());
        let (model, deployment) = match kind {
            _ if body.version.is_some() => (None, None),
            Some("models") => (Some(named(first, second)?), None),
            Some("deployments") => (None, Some(named(first, second)?)),
            _ => return None,
        };
        // The version may follow the name of its model.
        let version = match body.version {
            Some(version) => Some(
                version
                    .rsplit(':')
                    .next()
                    .filter(|version| !version.contains('/'))?
                    .to_owned(),
            ),
            None => None,
        };
        Some(Self {
            model,
            version,
            deployment,
            input: body.input,
        })
    }

    fn matches(&self, item: &Item) -> bool {
        let is_wanted =
            |wanted: &Option<String>, actual: &Option<String>| wanted.is_none() || wanted == actual;
        is_wanted(&self.model, &item.model)
            && is_wanted(&self.version, &item.version)
            && self.deployment == item.deployment
            && self.input == item.input
    }
}

/// A page of the list of predictions, newest first.
#[derive(Deserialize)]
pub(crate) struct Page {
    next: Option<String>,
    results: Vec<Item>,
}

/// A prediction in the list.
#[derive(Deserialize)]
struct Item {
    id: String,
    model: Option<String>,
    version: Option<String>,
    deployment: Option<String>,
    #[serde(default)]
    input: Value,
    created_at: Option<String>,
    status: Option<String>,
}

/// A prediction that matches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) is_running: bool,
}

impl Page {
    /// Return all predictions that may have been created by a request sent `age` ago; None if some
    /// of them may not be on the page. `now` is the server's time.
    pub(crate) fn candidates(
        &self,
        wanted: &Wanted,
        age: Duration,
        now: SystemTime,
    ) -> Option<Vec<Found>> {
        let sent = now.checked_sub(age)?;
        let (first, last) = (sent.checked_sub(TOLERANCE)?, sent.checked_add(MAX_DELAY)?);
        let created = |item: &Item| parse_time(item.created_at.as_deref()?);
        if self.next.is_some()
            && self
                .results
                .last()
                .and_then(created)
                .is_none_or(|oldest| oldest >= first)
        {
            return None;
        }
        let is_in_time =
            |item: &&Item| created(item).is_none_or(|created| (first..=last).contains(&created));
        let found = self
            .results
            .iter()
            .filter(|item| wanted.matches(item))
            .filter(is_in_time);
        let is_running = |item: &Item| {
            matches!(
                item.status.as_deref(),
                Some("starting" | "processing" | "queued")
            )
        };
        Some(
            found
                .map(|item| Found {
                    id: item.id.clone(),
                    is_running: is_running(item),
                })
                .collect(),
        )
    }
}

/// Return the time of the server when it sent a response.
pub(crate) fn server_time(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(http::header::DATE)?.to_str().ok()?).ok()
}

/// Parse a time as the API writes it: `2023-09-08T16:19:34.765994Z`.
fn parse_time(text: &str) -> Option<SystemTime> {
    let (date, time) = text
        .strip_suffix('Z')
        .or_else(|| text.strip_suffix("+00:00"))?
        .split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (
        time.next()?.parse::<u64>().ok()?,
        time.next()?.parse::<u64>().ok()?,
    );
    let second = time
        .next()?
        .parse::<f64>()
        .ok()
        .filter(|second| (0.0..61.0).contains(second))?;
    if !(1970..3000).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
    {
        return None;
    }
    // Years are counted from March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let whole = Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60);
    SystemTime::UNIX_EPOCH.checked_add(whole + Duration::try_from_secs_f64(second).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_694_190_000;

    fn asked(path: &str, body: &str) -> Option<Wanted> {
        Wanted::of(
            &Url::parse(&format!("https://api.replicate.com/v1/{path}")).unwrap(),
            body.as_bytes(),
        )
    }

    fn item(id: &str, more: &str) -> String {
        format!(
            r#"{{"id": "{id}", "model": "a/b", "version": "v", "input": {{"n": 1}}, "status": "processing", {more}}}"#
        )
    }

    fn found(asked: &Wanted, sent: u64, items: &[String], next: &str) -> Option<Vec<String>> {
        let page: Page = serde_json::from_str(&format!(
            r#"{{"next": {next}, "results": [{}]}}"#,
            items.join(",")
        ))
        .unwrap();
        let found = page.candidates(
            asked,
            Duration::from_secs(sent),
            SystemTime::UNIX_EPOCH + Duration::from_secs(NOW),
        );
        found.map(|found| found.into_iter().map(|each| each.id).collect())
    }

    // NOW is 16:20:00.
    const AT: &str = r#""created_at": "2023-09-08T16:19:50.765994Z""#;

    #[test]
    fn times_are_read_as_the_api_writes_them() {
        let seconds = |text| {
            parse_time(text).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
        };
        assert_eq!(seconds("2023-09-08T16:20:00Z"), Some(NOW));
        assert_eq!(seconds("2023-09-08T16:20:00.999999+00:00"), Some(NOW));
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2024-02-29T00:00:01Z"), Some(1_709_164_801));
        for wrong in [
            "",
            "2023-09-08",
            "2023-09-08T16:20:00",
            "2023-13-08T16:20:00Z",
            "2023-09-08T16:20:xZ",
            "T::Z",
            "2023-09-08T16:20:-1Z",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_create_is_known_by_its_address_and_its_body() {
        let model = asked("models/a/b/predictions", r#"{"input": {"n": 1}}"#).unwrap();
        let version = asked("predictions", r#"{"version": "a/b:v", "input": {"n": 1}}"#).unwrap();
        assert_eq!(
            asked("predictions", r#"{"version": "v", "input": {"n": 1}}"#).as_ref(),
            Some(&version)
        );
        let deployment = asked("deployments/a/d/predictions", r#"{"input": {"n": 1}}"#).unwrap();
        let plain = [item("p", AT)];
        let deployed = [item("p", &format!(r#"{AT}, "deployment": "a/d""#))];
        for asked in [&model, &version] {
            assert_eq!(found(asked, 10, &plain, "null"), Some(vec!["p".to_owned()]));
            assert_eq!(found(asked, 10, &deployed, "null"), Some(vec![]));
        }
        assert_eq!(found(&deployment, 10, &plain, "null"), Some(vec![]));
        assert_eq!(
            found(&deployment, 10, &deployed, "null"),
            Some(vec!["p".to_owned()])
        );
        for (path, body) in [
            ("predictions", "{}"),
            ("predictions", r#"{"version": "a/b"}"#),
            ("models/a/b/versions/v/trainings", "{}"),
            ("predictions", "["),
        ] {
            assert_eq!(asked(path, body), None, "{path}");
        }
    }

    #[test]
    fn what_was_made_at_another_time_or_of_something_else_is_not_meant() {
        let model = asked("models/a/b/predictions", r#"{"input": {"n": 1}}"#).unwrap();
        for sent in [0, 7, 30] {
            assert_eq!(
                found(&model, sent, &[item("p", AT)], "null"),
                Some(vec![]),
                "{sent}"
            );
        }
        for sent in [8, 12, 19] {
            assert_eq!(
                found(&model, sent, &[item("p", AT)], "null").unwrap().len(),
                1,
                "{sent}"
            );
        }
        let other = AT.to_owned() + r#", "extra": 1"#;
        let others = [
            item("p", &other).replace("\"n\": 1", "\"n\": 2"),
            item("q", &other).replace("a/b", "a/c"),
        ];
        assert_eq!(found(&model, 10, &others, "null"), Some(vec![]));
        // A prediction without a time may belong to the request.
        assert_eq!(
            found(&model, 10, &[item("p", r#""created_at": null"#)], "null")
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn a_page_that_may_not_be_all_tells_nothing() {
        let model = asked("models/a/b/predictions", r#"{"input": {"n": 1}}"#).unwrap();
        assert_eq!(
            found(&model, 10, &[item("p", AT)], r#""https://next""#),
            None
        );
        assert_eq!(found(&model, 10, &[], r#""https://next""#), None);
        let older = item("o", r#""created_at": "2023-09-08T16:10:00Z""#);
        assert_eq!(
            found(&model, 10, &[item("p", AT), older], r#""https://next""#),
            Some(vec!["p".to_owned()])
        );
    }
}
