//! Every method of every interface, by the interface's own text: what is new there is covered here
//! by itself.

use serde_json::{Map, Value, json};
use varlink_parser::{IDL, Method, VType, VTypeExt};

use crate::common::{Daemon, Peer, invalid_parameter};

#[test]
fn interfaces_are_sorted_and_describe_themselves() {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let texts = descriptions(&mut peer);
    let names: Vec<&String> = texts.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["io.globstash", "org.varlink.service"]);
    for (name, text) in &texts {
        assert_eq!(IDL::try_from(&**text).expect("an interface").name, name);
    }
    assert_eq!(texts[0].1, include_str!("../../io.globstash.varlink"));
}

#[test]
fn a_parameter_that_is_missing_is_named() {
    for_every_method(|peer, method| {
        for left_out in method.needed() {
            let mut members = method.good();
            members.retain(|(name, _)| name != left_out);
            method.expect_culprit(peer, &members, left_out);
        }
    });
}

#[test]
fn a_parameter_of_the_wrong_type_is_named() {
    for_every_method(|peer, method| {
        for (name, kind) in &method.parameters {
            for wrong in kind.misfits() {
                let mut members = method.good();
                members.retain(|(other, _)| other != name);
                members.push((name.clone(), wrong));
                method.expect_culprit(peer, &members, name);
            }
        }
    });
}

#[test]
fn a_parameter_that_is_not_known_is_named() {
    for_every_method(|peer, method| {
        let mut members = method.good();
        members.insert(0, ("unheardOf".to_owned(), Value::Null));
        method.expect_culprit(peer, &members, "unheardOf");
    });
}

#[test]
fn a_parameter_that_comes_twice_is_named() {
    for_every_method(|peer, method| {
        for (name, kind) in &method.parameters {
            let mut members = method.good();
            members.retain(|(other, _)| other != name);
            members.extend([(name.clone(), kind.fit()), (name.clone(), kind.fit())]);
            method.expect_culprit(peer, &members, name);
        }
    });
}

#[test]
fn null_is_as_good_as_nothing_where_nothing_will_do() {
    for_every_method(|peer, method| {
        if method.requires_more {
            return;
        }
        let mut members = method.good();
        // Who waits for a variable waits until it is defined.
        if let Some((_, key)) = members.iter().find(|(name, _)| name == "key") {
            peer.ask("io.globstash.Set", json!({ "key": key, "value": "x" }));
        }
        let without = method.ask(peer, &members);
        let nullable = method.parameters.iter().filter(|(_, kind)| kind.nullable);
        members.extend(nullable.map(|(name, _)| (name.clone(), Value::Null)));
        let with = method.ask(peer, &members);
        assert_eq!(with["error"], without["error"], "{}: {with}", method.name);
        let names = |reply: &Value| {
            reply["parameters"]
                .as_object()
                .map(|all| all.keys().cloned().collect::<Vec<_>>())
        };
        assert_eq!(names(&with), names(&without), "{}", method.name);
    });
}

/// A method as its interface tells it.
struct Described {
    name: String,
    requires_more: bool,
    parameters: Vec<(String, Kind)>,
}

struct Kind {
    nullable: bool,
    json: Json,
}

#[derive(Clone, Copy, PartialEq)]
enum Json {
    Bool,
    Int,
    String,
    Array,
    Object,
}

/// Something of every kind; objects and arrays such that no parameter of ours can be them.
const SAMPLES: [(Json, &str); 8] = [
    (Json::Bool, "true"),
    (Json::Int, "0"),
    (Json::Int, "1.5"),
    (Json::Int, "9223372036854775808"),
    (Json::String, r#""a""#),
    (Json::Array, "[0]"),
    (Json::Array, "[null]"),
    (Json::Object, r#"{"unheardOf":0}"#),
];

impl Kind {
    fn of(vtype: &VTypeExt) -> Self {
        let json = |json| Kind {
            nullable: false,
            json,
        };
        match vtype {
            VTypeExt::Option(inner) => Kind {
                nullable: true,
                ..Kind::of(inner)
            },
            VTypeExt::Array(_) => json(Json::Array),
            VTypeExt::Plain(VType::Bool) => json(Json::Bool),
            VTypeExt::Plain(VType::Int) => json(Json::Int),
            VTypeExt::Plain(VType::String) => json(Json::String),
            VTypeExt::Plain(VType::Typename(_)) => json(Json::Object),
            _ => panic!("teach this test the new type"),
        }
    }

    fn fit(&self) -> Value {
        match self.json {
            Json::Bool => json!(true),
            Json::Int => json!(0),
            Json::String => json!("a"),
            Json::Array => json!([]),
            Json::Object => json!({}),
        }
    }

    fn misfits(&self) -> Vec<Value> {
        let samples = SAMPLES.iter().filter(|(json, text)| {
            let fits = matches!(*text, "true" | "0" | r#""a""#);
            !(fits && *json == self.json)
        });
        let mut misfits: Vec<Value> = samples
            .map(|(_, text)| serde_json::from_str(text).expect("a sample is JSON"))
            .collect();
        if !self.nullable {
            misfits.push(Value::Null);
        }
        misfits
    }
}

impl Described {
    fn new(interface: &str, method: &Method) -> Self {
        let parameters = method.input.elts.iter();
        Described {
            name: format!("{interface}.{}", method.name),
            requires_more: method.doc.contains("[Requires 'more' flag]"),
            parameters: parameters
                .map(|field| (field.name.to_owned(), Kind::of(&field.vtype)))
                .collect(),
        }
    }

    fn needed(&self) -> impl Iterator<Item = &String> {
        let needed = self.parameters.iter().filter(|(_, kind)| !kind.nullable);
        needed.map(|(name, _)| name)
    }

    /// The parameters that must be there, as they should be.
    fn good(&self) -> Vec<(String, Value)> {
        let needed = self.parameters.iter().filter(|(_, kind)| !kind.nullable);
        needed
            .map(|(name, kind)| (name.clone(), kind.fit()))
            .collect()
    }

    /// One call with these parameters, in this order, also twice.
    fn ask(&self, peer: &mut Peer, members: &[(String, Value)]) -> Value {
        let members: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("{}:{value}", json!(name)))
            .collect();
        let message = format!(
            "{{\"method\":{},\"parameters\":{{{}}},\"more\":{}}}\0",
            json!(self.name),
            members.join(","),
            self.requires_more,
        );
        peer.send_bytes(message.as_bytes());
        peer.receive()
    }

    /// The parameter is named, and the connection is as good as before.
    fn expect_culprit(&self, peer: &mut Peer, members: &[(String, Value)], culprit: &str) {
        let reply = self.ask(peer, members);
        assert_eq!(
            reply,
            invalid_parameter(culprit),
            "{}: {members:?}",
            self.name
        );
        let status = peer.ask("io.globstash.GetStatus", json!({}));
        assert_eq!(status["revision"], 0, "{} changed something", self.name);
    }
}

fn descriptions(peer: &mut Peer) -> Vec<(String, String)> {
    let info = peer.ask("org.varlink.service.GetInfo", json!({}));
    let names = info["interfaces"].as_array().expect("names").clone();
    let describe = |name: &Value| {
        let method = "org.varlink.service.GetInterfaceDescription";
        let reply: Map<String, Value> =
            serde_json::from_value(peer.ask(method, json!({"interface": name})))
                .expect("an object");
        let text = reply["description"].as_str().expect("a text").to_owned();
        (name.as_str().expect("a name").to_owned(), text)
    };
    names.iter().map(describe).collect()
}

fn for_every_method(mut check: impl FnMut(&mut Peer, &Described)) {
    let daemon = Daemon::start();
    let mut peer = daemon.connect();
    let mut count = 0;
    for (name, text) in descriptions(&mut peer) {
        let interface = IDL::try_from(&*text).expect("an interface");
        for method in interface.methods.values() {
            check(&mut peer, &Described::new(&name, method));
            count += 1;
        }
    }
    assert!(count >= 7, "only {count} methods");
}
