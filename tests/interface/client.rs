//! Our client as the one who calls: parameters as they are on the wire, said with its types, and its
//! results as replies.
//!
//! What its types cannot say ends the test, so that no test passes because something was left out.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use globstash::{
    Batch, Client, Condition, Entry, Error, Fields, Patterns, Position, Revision, Start, Step,
    Terms, Until, Value, Watch,
};
use serde_json::{Map, Value as Json, json};

use crate::scene::{Refusal, no};

/// Parameters that are taken out one by one, until none is left.
struct Parameters(Map<String, Json>);

impl Parameters {
    fn of(json: Json) -> Parameters {
        match json {
            Json::Object(members) => Parameters(members),
            other => panic!("no parameters: {other}"),
        }
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let said = |value: Json| value.as_str().expect("a string").to_owned();
        self.take(name).map(said)
    }

    fn key(&mut self) -> String {
        self.text("key").expect("the client names a key")
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        self.take(name)
            .map(|value| value.as_bool().expect("a bool"))
    }

    /// A number that is not negative: the client's are not.
    fn number(&mut self, name: &str) -> Option<u64> {
        let said = |value: Json| value.as_u64().expect("no negative number in the client");
        self.take(name).map(said)
    }

    fn time(&mut self, name: &str) -> Option<Duration> {
        self.number(name).map(Duration::from_micros)
    }

    fn value(&mut self) -> Option<Value> {
        match (self.text("value"), self.text("data")) {
            (None, None) => None,
            (Some(text), None) => Some(text.into()),
            (None, Some(data)) => {
                let bytes = BASE64_STANDARD.decode(data);
                Some(bytes.expect("the client encodes itself").into())
            }
            (Some(_), Some(_)) => panic!("the client has one value"),
        }
    }

    fn condition(&mut self) -> Option<Condition> {
        let mut said = Parameters::of(self.take("condition")?);
        let defined = said.flag("defined").map(|defined| match defined {
            true => Condition::defined(),
            false => Condition::undefined(),
        });
        let revision = said.number("revision");
        let revision = revision.map(|number| Condition::revision(Revision(number)));
        let parts = [defined, revision, said.value().map(Condition::value)];
        said.end();
        Some(
            parts
                .into_iter()
                .flatten()
                .reduce(Condition::and)
                .expect("the client has no empty condition"),
        )
    }

    fn patterns(&mut self) -> Patterns {
        let Some(patterns) = self.take("patterns") else {
            return Patterns::all();
        };
        let patterns: Vec<String> = serde_json::from_value(patterns).expect("strings");
        patterns.into()
    }

    fn fields(&mut self) -> Fields {
        let fields = match self.flag("keysOnly") {
            Some(true) => Fields::KEYS,
            _ => Fields::VALUES,
        };
        match self.flag("metadata") {
            Some(true) => fields.and_metadata(),
            _ => fields,
        }
    }

    fn end(self) {
        assert!(self.0.is_empty(), "the client cannot say {:?}", self.0);
    }
}

/// A call with one reply.
pub fn call(client: &mut Client, method: &str, parameters: Json) -> Result<Json, Refusal> {
    let said = Parameters::of(parameters);
    let result = match method {
        "Set" => set(client, said),
        "Get" => get(client, said),
        "Delete" => delete(client, said),
        "Expire" => expire(client, said),
        "Increment" => increment(client, said),
        "Apply" => apply(client, said),
        "Wait" => wait(client, said),
        "GetStatus" => client.status().map(|status| json!(status)),
        _ => panic!("the client has no {method}"),
    };
    result.map_err(refusal)
}

fn set(client: &mut Client, mut said: Parameters) -> Result<Json, Error> {
    let (key, value) = (said.key(), said.value());
    let value = value.expect("the client deletes by delete");
    let mut terms = Terms::new();
    if let Some(condition) = said.condition() {
        terms = terms.only_if(condition);
    }
    if let Some(ttl) = said.time("ttlUSec") {
        terms = terms.ttl(ttl);
    }
    if let Some(pid) = said.number("pid") {
        let pid = u32::try_from(pid).expect("a process ID of the client");
        terms = terms.process(pid);
    }
    terms = match said.flag("protected") {
        Some(true) => terms.protected(),
        Some(false) => terms.unprotected(),
        None => terms,
    };
    said.end();
    let revision = client.set_with(&key, value, terms)?;
    Ok(json!({ "revision": revision }))
}

/// What is told of a variable that may be there.
fn told(entry: Option<Entry>) -> Json {
    let Some(entry) = entry else {
        return json!({ "defined": false, "value": "", "revision": 0 });
    };
    let mut told = json!(entry.value.expect("a value"));
    told["defined"] = json!(true);
    told["revision"] = json!(entry.revision);
    told
}

fn get(client: &mut Client, mut said: Parameters) -> Result<Json, Error> {
    let key = said.key();
    let metadata = said.flag("metadata");
    said.end();
    if metadata != Some(true) {
        let Some(value) = client.get(&key)? else {
            assert_eq!(client.revision(&key)?, Revision::UNDEFINED);
            return Ok(told(None));
        };
        let mut told = json!(value);
        told["defined"] = json!(true);
        told["revision"] = json!(client.revision(&key)?);
        return Ok(told);
    }
    let Some(mut entry) = client.entry(&key)? else {
        return Ok(told(None));
    };
    let mut told = told(Some(entry.clone()));
    entry.value = None;
    told["entry"] = json!(entry);
    Ok(told)
}

fn delete(client: &mut Client, mut said: Parameters) -> Result<Json, Error> {
    let (key, condition) = (said.text("key"), said.condition());
    let deleted = match (key, condition) {
        (Some(key), Some(condition)) => client.delete_if(&key, condition),
        (Some(key), None) => client.delete(&key),
        (None, None) => client.delete_matching(said.patterns()),
        (None, Some(_)) => panic!("the client has a condition with a key only"),
    };
    said.end();
    deleted.map(|deleted| json!(deleted))
}

fn expire(client: &mut Client, mut said: Parameters) -> Result<Json, Error> {
    let (key, ttl) = (said.key(), said.time("ttlUSec"));
    said.end();
    let defined = client.expire(&key, ttl)?;
    Ok(json!({ "defined": defined }))
}

fn increment(client: &mut Client, mut said: Parameters) -> Result<Json, Error> {
    let key = said.key();
    let limits = (said.text("minimum"), said.text("maximum"));
    let step = match (said.text("by"), &limits) {
        (None, (None, None)) => {
            said.end();
            return client.increment(&key).map(|sum| json!(sum));
        }
        (by, _) => Step::by(by.as_deref().unwrap_or("1")),
    };
    let step = limits.0.into_iter().fold(step, Step::minimum);
    let step = limits.1.into_iter().fold(step, Step::maximum);
    said.end();
    client.increment_by(&key, step).map(|sum| json!(sum))
}

fn apply(client: &mut Client, mut said: Parameters) -> Result<Json, Error> {
    let mut batch = Batch::new();
    let list = |list: Option<Json>| match list {
        Some(Json::Array(list)) => list,
        _ => Vec::new(),
    };
    for check in list(said.take("checks")) {
        let mut check = Parameters::of(check);
        let condition = check.condition().expect("the client names a condition");
        batch = batch.check(check.key(), condition);
        check.end();
    }
    for operation in list(said.take("operations")) {
        let mut operation = Parameters::of(operation);
        let (action, key) = (operation.text("action"), operation.key());
        batch = match action.as_deref() {
            Some("set") => {
                let value = operation.value().expect("the client sets a value");
                match operation.time("ttlUSec") {
                    Some(ttl) => batch.set_for(key, value, ttl),
                    None => batch.set(key, value),
                }
            }
            Some("delete") => batch.delete(key),
            Some("increment") => {
                let by = operation.text("by");
                batch.increment(key, by.expect("the client says by how much"))
            }
            _ => panic!("the client has no {action:?}"),
        };
        operation.end();
    }
    said.end();
    let revision = client.apply(batch)?;
    Ok(json!({ "revision": revision }))
}

fn wait(client: &mut Client, mut said: Parameters) -> Result<Json, Error> {
    let key = said.key();
    let (condition, changed_from) = (said.condition(), said.number("changedFrom"));
    let timeout = said.time("timeoutUSec");
    said.end();
    if condition.is_none() && changed_from.is_none() && timeout.is_none() {
        let mut told = json!(client.wait(&key)?);
        told["defined"] = json!(true);
        told["revision"] = json!(client.revision(&key)?);
        return Ok(told);
    }
    let until = match (changed_from.map(Revision), condition) {
        (Some(revision), Some(condition)) => Until::changed_from(revision).and(condition),
        (Some(revision), None) => Until::changed_from(revision),
        (None, Some(condition)) => Until::holds(condition),
        (None, None) => Until::defined(),
    };
    let until = timeout.into_iter().fold(until, Until::within);
    client.wait_until(&key, until).map(told)
}

/// All entries of a list.
pub fn list(client: &mut Client, parameters: Json) -> Result<Vec<Json>, Refusal> {
    let mut said = Parameters::of(parameters);
    let (patterns, fields) = (said.patterns(), said.fields());
    said.end();
    let entries = client.list_with(patterns, fields).map_err(refusal)?;
    let json = |entry: Result<Entry, Error>| entry.map(|entry| json!(entry)).map_err(refusal);
    entries.map(json).collect()
}

/// A watch that has begun.
pub fn watch(client: &mut Client, parameters: Json) -> Watch {
    let mut said = Parameters::of(parameters);
    let (patterns, fields) = (said.patterns(), said.fields());
    let after = said.number("afterRevision").map(Revision);
    let instance = said.text("instance");
    let start = match (said.flag("initial"), after, instance) {
        (Some(true), None, None) => Start::Present,
        (None | Some(false), None, None) => Start::Now,
        (None, Some(revision), Some(instance)) => {
            let keys: Vec<String> = match said.take("keys") {
                Some(keys) => serde_json::from_value(keys).expect("keys"),
                None => Vec::new(),
            };
            let position = Position { revision, instance };
            Start::After { position, keys }
        }
        said => panic!("the client has no such beginning: {said:?}"),
    };
    said.end();
    let watch = client.watch_with(patterns, start, fields);
    watch.expect("the service lets us watch")
}

/// An error as it came on the wire.
fn refusal(error: Error) -> Refusal {
    match error {
        Error::InvalidKey { key, reason } => {
            no("InvalidKey", json!({ "key": key, "reason": reason }))
        }
        Error::InvalidPattern { pattern, reason } => no(
            "InvalidPattern",
            json!({ "pattern": pattern, "reason": reason }),
        ),
        Error::InvalidValue { key, reason } => {
            no("InvalidValue", json!({ "key": key, "reason": reason }))
        }
        Error::ValueTooLarge { key, size, maximum } => no(
            "ValueTooLarge",
            json!({ "key": key, "size": size, "maximum": maximum }),
        ),
        Error::LimitExceeded { limit, maximum } => no(
            "LimitExceeded",
            json!({ "limit": limit, "maximum": maximum }),
        ),
        Error::ConditionFailed { key, revision } => no(
            "ConditionFailed",
            json!({ "key": key, "revision": revision }),
        ),
        Error::NotNumeric { key } => no("NotNumeric", json!({ "key": key })),
        Error::NumberOverflow { key } => no("NumberOverflow", json!({ "key": key })),
        Error::Protected { key } => no("PermissionDenied", json!({ "key": key })),
        Error::NoSuchProcess { pid } => no("NoSuchProcess", json!({ "pid": pid })),
        Error::TimedOut { key } => no("TimedOut", json!({ "key": key })),
        Error::InvalidParameter { parameter } => crate::scene::invalid_parameter(&parameter),
        other => panic!("not a refusal: {other}"),
    }
}
