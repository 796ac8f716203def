//! Questions to a tracking server: experiments by name, runs, batches of values, ends.

use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::RunStatus;
use super::outbox::{End, Metric, Opening, Pairs};
use crate::http::{Call, Patience, Reply, call};

/// Why a question has no good answer.
#[derive(Debug)]
pub enum Trouble {
    /// It may have one later.
    Later(String),
    /// The server does not want it.
    Refused { code: String, message: String },
}

/// A server.
pub struct Client {
    uri: String,
    patience: Patience,
    /// Ids of experiments by name.
    experiments: BTreeMap<String, String>,
}

impl Client {
    pub fn new(uri: &str, patience: Patience) -> Client {
        Client { uri: uri.to_owned(), patience, experiments: BTreeMap::new() }
    }

    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Creates a run, or has a known one go on. Returns its id.
    pub fn open(&mut self, opening: &Opening, known: Option<&str>) -> Result<String, Trouble> {
        if let Some(run_id) = known {
            let update = json!({ "run_id": run_id, "status": "RUNNING" });
            match self.post("runs/update", &update) {
                Ok(_) => return Ok(run_id.to_owned()),
                // It was deleted there.
                Err(Trouble::Refused { .. }) => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let experiment = self.experiment(&opening.experiment)?;
        let create = json!({
            "experiment_id": experiment, "run_name": opening.name, "start_time": opening.begun_ms,
            "tags": listed(&opening.tags),
        });
        let answer = self.post("runs/create", &create);
        // Experiments that were deleted meanwhile are looked up again.
        let answer = answer.inspect_err(|_| drop(self.experiments.remove(&opening.experiment)))?;
        text_at(&answer, "/run/info/run_id")
    }

    pub fn batch(&self, run_id: &str, params: &Pairs, metrics: &[Metric]) -> Result<(), Trouble> {
        let batch = json!({ "run_id": run_id, "params": listed(params), "metrics": metrics });
        self.post("runs/log-batch", &batch).map(drop)
    }

    pub fn end(&self, run_id: &str, end: &End) -> Result<(), Trouble> {
        let status = match end.status {
            RunStatus::Finished => "FINISHED",
            RunStatus::Failed => "FAILED",
            RunStatus::Killed => "KILLED",
        };
        let update = json!({ "run_id": run_id, "status": status, "end_time": end.at_ms });
        self.post("runs/update", &update)?;
        if end.tags.is_empty() {
            return Ok(());
        }
        let tags = json!({ "run_id": run_id, "tags": listed(&end.tags) });
        self.post("runs/log-batch", &tags).map(drop)
    }

    /// The id of an experiment, which is made where there is none.
    fn experiment(&mut self, name: &str) -> Result<String, Trouble> {
        if let Some(id) = self.experiments.get(name) {
            return Ok(id.clone());
        }
        let id = match self.experiment_by_name(name)? {
            Some(id) => id,
            None => match self.post("experiments/create", &json!({ "name": name })) {
                Ok(answer) => text_at(&answer, "/experiment_id")?,
                // Another process was faster.
                Err(Trouble::Refused { code, message }) if code == "RESOURCE_ALREADY_EXISTS" => {
                    let there = self.experiment_by_name(name)?;
                    there.ok_or(Trouble::Refused { code, message })?
                }
                Err(trouble) => return Err(trouble),
            },
        };
        self.experiments.insert(name.to_owned(), id.clone());
        Ok(id)
    }

    fn experiment_by_name(&self, name: &str) -> Result<Option<String>, Trouble> {
        let path = format!("experiments/get-by-name?experiment_name={}", percent(name));
        match self.ask("GET", &path, None) {
            Ok(answer) => text_at(&answer, "/experiment/experiment_id").map(Some),
            Err(Trouble::Refused { code, .. }) if code == "RESOURCE_DOES_NOT_EXIST" => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.ask("POST", path, Some(&body.to_string()))
    }

    fn ask(&self, method: &str, path: &str, json: Option<&str>) -> Result<Value, Trouble> {
        let url = format!("{}/api/2.0/mlflow/{path}", self.uri);
        let question = Call { method, url: &url, json, patience: self.patience };
        answer(call(question).map_err(Trouble::Later)?)
    }
}

/// Statuses from 500 on, 408 and 429 speak of the server; others of the question.
fn answer(reply: Reply) -> Result<Value, Trouble> {
    let value: Option<Value> = serde_json::from_slice(&reply.body).ok();
    match (reply.status, value) {
        (200..300, Some(value)) => Ok(value),
        (200..300, None) => {
            Err(Trouble::Later("its answer is no JSON: is it a tracking server?".into()))
        }
        (status @ (408 | 429 | 500..), _) => Err(Trouble::Later(format!("status {status}"))),
        (status, value) => {
            let field = |name: &str| {
                let value = value.as_ref().and_then(|value| value.get(name)?.as_str());
                value.map(str::to_owned)
            };
            let message = field("message").unwrap_or_else(|| format!("status {status}"));
            // One line is enough for people.
            let message = message.lines().next().unwrap_or_default().to_owned();
            Err(Trouble::Refused { code: field("error_code").unwrap_or_default(), message })
        }
    }
}

fn text_at(value: &Value, pointer: &str) -> Result<String, Trouble> {
    let text = value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Trouble::Later(format!("its answer has no {pointer}")))
}

fn listed(pairs: &Pairs) -> Value {
    pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

/// Text as a part of an address (RFC 3986, 2.1).
fn percent(text: &str) -> String {
    let part = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_an_address() {
        assert_eq!(percent("perdura/a-b:x=1,é"), "perdura%2Fa-b%3Ax%3D1%2C%C3%A9");
    }

    #[test]
    fn answers_are_good_refusals_or_trouble() {
        let of = |status, body: &str| answer(Reply { status, body: body.as_bytes().to_vec() });
        assert_eq!(of(200, "{\"a\":1}").unwrap(), json!({ "a": 1 }));
        let later = |status, body| matches!(of(status, body), Err(Trouble::Later(_)));
        assert!(later(500, "{}") && later(503, "") && later(429, "{}") && later(408, ""));
        assert!(later(200, "<html>"), "something else listens there");
        let refused = of(404, "{\"error_code\":\"NO\",\"message\":\"not\\nhere\"}").unwrap_err();
        let Trouble::Refused { code, message } = refused else { panic!("{refused:?}") };
        assert_eq!((code.as_str(), message.as_str()), ("NO", "not"));
        assert!(
            matches!(of(301, ""), Err(Trouble::Refused { message, .. }) if message == "status 301")
        );
    }
}
