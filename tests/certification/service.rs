//! `org.varlink.certification`: a table of calls, each to be made exactly so.

use std::collections::HashMap;
use std::f64::consts::PI;

use globstash::daemon::mounted::{Answer, Call};
use serde_json::{Value, json};

pub const NAME: &str = "org.varlink.certification";
pub const DESCRIPTION: &str = include_str!("org.varlink.certification.varlink");

/// Who is being certified, and how far.
#[derive(Default)]
pub struct Certification {
    /// How many calls each client has made.
    clients: HashMap<String, usize>,
}

/// A call, and what it is answered.
struct Step {
    call: Value,
    replies: Vec<Value>,
}

impl Certification {
    /// Answers a call.
    pub fn answer(&mut self, call: Call) -> Answer {
        if call.method == "Start" {
            let id = format!("client {}", self.clients.len());
            self.clients.insert(id.clone(), 0);
            return Ok(vec![json!({ "client_id": id })]);
        }
        let done = call.parameters["client_id"]
            .as_str()
            .and_then(|id| self.clients.get_mut(id))
            .ok_or(("ClientIdError", json!({})))?;
        let step = steps().into_iter().nth(*done);
        let wants = step.as_ref().map_or(json!({}), |step| step.call.clone());
        let got = written(call);
        match step {
            Some(step) if wants == got => {
                *done += 1;
                Ok(step.replies)
            }
            _ => Err(("CertificationError", json!({ "wants": wants, "got": got }))),
        }
    }
}

/// A call as the table has it.
fn written(mut call: Call) -> Value {
    let parameters = call.parameters.as_object_mut();
    parameters.and_then(|parameters| parameters.remove("client_id"));
    drop_nulls(&mut call.parameters);
    json!({
        "method": call.method,
        "parameters": call.parameters,
        "more": call.more,
        "oneway": call.oneway,
    })
}

/// A member that is null may as well be left out.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, value| !value.is_null());
        members.values_mut().for_each(drop_nulls);
    }
}

/// The calls after `Start`.
fn steps() -> Vec<Step> {
    let structure = json!({ "bool": false, "int": 2, "float": PI, "string": "a lot of string" });
    let map = json!({ "foo": "Foo", "bar": "Bar" });
    let set = json!({ "one": {}, "two": {}, "three": {} });
    let mytype = json!({
        "object": { "method": "org.varlink.certification.Test09", "parameters": { "map": map } },
        "enum": "two",
        "struct": { "first": 1, "second": "2" },
        "array": ["one", "two", "three"],
        "dictionary": map,
        "stringset": set,
        "interface": {
            "foo": [null, { "foo": "foo", "bar": "bar" }, null, { "one": "foo", "two": "bar" }],
            "anon": { "foo": true, "bar": false },
        },
    });
    let mut nullable = mytype.clone();
    nullable["nullable"] = Value::Null;
    nullable["nullable_array_struct"] = Value::Null;
    let texts: Vec<String> = (1..=10).map(|n| format!("Reply number {n}")).collect();
    let many = texts.iter().map(|text| json!({ "string": text }));

    let one = |method, parameters, reply| step(method, parameters, "", vec![reply]);
    vec![
        one("Test01", json!({}), json!({ "bool": true })),
        one("Test02", json!({ "bool": true }), json!({ "int": 1 })),
        one("Test03", json!({ "int": 1 }), json!({ "float": 1.0 })),
        one(
            "Test04",
            json!({ "float": 1.0 }),
            json!({ "string": "ping" }),
        ),
        one("Test05", json!({ "string": "ping" }), structure.clone()),
        one("Test06", structure.clone(), json!({ "struct": structure })),
        one(
            "Test07",
            json!({ "struct": structure }),
            json!({ "map": map }),
        ),
        one("Test08", json!({ "map": map }), json!({ "set": set })),
        one(
            "Test09",
            json!({ "set": set }),
            json!({ "mytype": nullable }),
        ),
        step(
            "Test10",
            json!({ "mytype": mytype }),
            "more",
            many.collect(),
        ),
        step(
            "Test11",
            json!({ "last_more_replies": texts }),
            "oneway",
            vec![json!({})],
        ),
        one("End", json!({}), json!({ "all_ok": true })),
    ]
}

fn step(method: &str, parameters: Value, flag: &str, replies: Vec<Value>) -> Step {
    let (more, oneway) = (flag == "more", flag == "oneway");
    let call = json!({
        "method": method,
        "parameters": parameters,
        "more": more,
        "oneway": oneway,
    });
    Step { call, replies }
}
