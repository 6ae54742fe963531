//! Watch.

use serde_json::{Value, json};

use crate::common::Peer;
use crate::scene::{Scene, Watching, revision};

proofs! {
    it_takes_several_replies (not by client: "it always does") {
        "Watch": "[Requires 'more' flag]",
    }
    changes_are_told_as_they_happen {
        "Watch": "Follow variables.",
        "Watch": "The first reply comes at once, also if it holds no event, and tells that from its revision on no change goes unnoticed.",
        "Watch": "After that, replies come as changes happen.",
        "Watch.patterns": "Follow only variables that match one of these patterns.",
        "Watch.patterns": "Defaults to all.",
        "Watch().events": "The events, in the order of their revisions.",
        "Watch().revision": "The revision up to which this watcher has now seen everything.",
    }
    a_reply_holds_whole_changes {
        "Watch": "A reply holds whole changes, one or more; only a change larger than 8 MiB is spread over several replies, of which the last alone carries its revision.",
    }
    only_a_change_too_large_is_spread (not by client: "it tells events, not replies") {
        "Watch": "A reply holds whole changes, one or more; only a change larger than 8 MiB is spread over several replies, of which the last alone carries its revision.",
    }
    who_hears_of_nothing_is_told_how_far_it_is {
        "Watch": "Now and then a reply without events tells how far a watch has come while only other variables changed.",
    }
    who_keeps_up_is_told_everything {
        "Watch": "Changes are merged only for a watcher that is behind.",
    }
    who_does_not_keep_up_misses_values_but_not_the_last {
        "Watch": "A watcher that does not keep up is not cut off and costs no memory: it misses intermediate values (see 'skipped'), but never the last one.",
        "Watch().skipped": "How many changes were left out so far since upToDate was last true, because newer ones took their place before this watcher took them.",
    }
    when_too_much_waits_who_takes_nothing_is_cut_off {
        "Watch": "Only when too much waits for the connections of one user and is not taken, 16 MiB for more than 5 seconds or 32 MiB at any time, is one of them closed; its watch can be resumed with 'afterRevision'.",
    }
    the_present_state_comes_first_if_asked_for {
        "Watch.initial": "Report the present state first, as 'set' events.",
        "Watch.initial": "Defaults to false.",
        "Watch().upToDate": "True if nothing is left to tell at this moment: what this watch was told adds up to the present state.",
        "Watch().upToDate": "After 'initial' and 'reset' this marks the end of the present state.",
    }
    initial_goes_before_a_revision (not by client: "its watches begin in one way") {
        "Watch.initial": "Goes before afterRevision.",
    }
    a_watch_goes_on_where_another_ended {
        "Watch.afterRevision": "Report first what changed after this revision, to go on where an earlier watch ended.",
        "Watch.instance": "The instance that afterRevision belongs to.",
        "Watch().instance": "The running instance.",
    }
    the_first_reply_names_the_instance (not by client: "it tells events, not replies") {
        "Watch().instance": "Set in the first reply.",
        "Watch.instance": "If it is no longer running, 'reset' is true in the first reply.",
        "Watch().skipped": "Unset if none, or if it is not known because the watch was resumed, or because its patterns take so long that not every change was compared with them.",
    }
    a_reset_tells_the_whole_state_and_what_is_not_in_it_is_gone {
        "Watch.afterRevision": "A revision that the instance has not reached yet is a reset.",
        "Watch.instance": "If it is no longer running, 'reset' is true in the first reply.",
        "Watch().reset": "True if the service no longer knows which variables were deleted after afterRevision: what follows is the whole present state, and everything that is not in it is gone.",
        "Watch().upToDate": "After 'initial' and 'reset' this marks the end of the present state.",
    }
    fields_come_if_asked_for {
        "Watch.keysOnly": "Leave out the values.",
        "Watch.keysOnly": "Defaults to false.",
        "Watch.metadata": "Tell who made each change.",
        "Watch.metadata": "Defaults to false.",
    }
}

fn keys(events: &[Value]) -> Vec<&str> {
    let keys = events.iter().map(|event| event["key"].as_str());
    keys.map(|key| key.expect("text")).collect()
}

/// Sets variables over one connection, all in one piece.
fn set_all(peer: &mut Peer, variables: impl Iterator<Item = (String, String)>) {
    let sets = variables.map(|(key, value)| json!({ "key": key, "value": value }));
    let sets: Vec<Value> = sets.collect();
    let count = sets.len();
    peer.send_calls("io.globstash.Set", sets);
    (0..count).for_each(|_| drop(peer.receive()));
}

fn it_takes_several_replies(scene: &Scene) {
    let refusal = scene.refuse("Watch", json!({}));
    assert_eq!(refusal.name, "org.varlink.service.ExpectedMore");
}

fn changes_are_told_as_they_happen(scene: &Scene) {
    let at = scene.set("a", "0");
    let mut all = scene.watch(json!({}));
    assert_eq!(all.revision(), at);
    let mut some = scene.watch(json!({ "patterns": ["a", "b/"] }));
    scene.set("other", "1");
    scene.set("b/c", "1");
    scene.ask("Delete", json!({ "patterns": ["**"] }));
    scene.set("a", "1");
    let events: Vec<Value> = (0..6).map(|_| all.event()).collect();
    assert_eq!(keys(&events), ["other", "b/c", "a", "b/c", "other", "a"]);
    let revisions: Vec<u64> = events.iter().map(revision).collect();
    assert_eq!(revisions, [at + 1, at + 2, at + 3, at + 3, at + 3, at + 4]);
    assert_eq!(all.revision(), at + 4);
    let events: Vec<Value> = (0..4).map(|_| some.event()).collect();
    assert_eq!(keys(&events), ["b/c", "a", "b/c", "a"]);
}

/// Changes of ten megabytes with one revision.
fn large_change(scene: &Scene) -> u64 {
    let megabyte = "x".repeat(1 << 20);
    let set = |n: usize| json!({ "action": "set", "key": format!("large/{n}"), "value": megabyte });
    let operations: Vec<Value> = (0..10).map(set).collect();
    revision(&scene.ask("Apply", json!({ "operations": operations })))
}

fn a_reply_holds_whole_changes(scene: &Scene) {
    let mut watch = scene.watch(json!({ "keysOnly": true }));
    let mut large = scene.watch(json!({ "patterns": ["large/"] }));
    let at = large_change(scene);
    let before = scene.revision() - 1;
    let told: Vec<u64> = (0..10).map(|_| revision(&watch.event())).collect();
    assert_eq!((told, watch.revision()), (vec![at; 10], at));
    // Until the last of them was told, not everything up to this revision was seen.
    for n in 0..10 {
        assert_eq!(revision(&large.event()), at);
        let expected = if n < 9 { before } else { at };
        let seen = large.revision();
        assert!(
            seen == expected || (seen == at && matches!(large, Watching::Varlinkctl(..))),
            "{n}"
        );
    }
    assert_eq!(large.revision(), at);
}

fn only_a_change_too_large_is_spread(scene: &Scene) {
    let mut watch = scene.watch(json!({ "patterns": ["large/", "small/"] }));
    let set = |n: usize| json!({ "action": "set", "key": format!("small/{n}"), "value": "x".repeat(1000) });
    let operations: Vec<Value> = (0..4000).map(set).collect();
    let at = revision(&scene.ask("Apply", json!({ "operations": operations })));
    let reply = watch.next_reply();
    let count = |reply: &Value| reply["events"].as_array().map_or(0, Vec::len);
    assert_eq!((count(&reply), revision(&reply)), (4000, at));
    large_change(scene);
    let first = watch.next_reply();
    let (mut told, mut last) = (count(&first), first);
    assert!(told < 10);
    while told < 10 {
        assert_eq!(revision(&last), at);
        last = watch.next_reply();
        told += count(&last);
    }
    assert_eq!((told, revision(&last)), (10, at + 1));
}

fn who_hears_of_nothing_is_told_how_far_it_is(scene: &Scene) {
    let mut watch = scene.watch(json!({ "patterns": ["quiet"] }));
    let begun = watch.revision();
    let mut peer = scene.daemon.connect();
    let value = "x".repeat(4000);
    // Variables that are deleted are remembered with their values, until that is too much.
    for _ in 0..10 {
        set_all(
            &mut peer,
            (0..100).map(|n| (format!("other/{n}"), value.clone())),
        );
        peer.ask("io.globstash.Delete", json!({ "patterns": ["other/"] }));
    }
    match &mut watch {
        Watching::Client(watch) => assert!(watch.try_next().is_none(), "there is no event"),
        Watching::Varlinkctl(..) => assert_eq!(watch.next_reply()["events"], json!([])),
    }
    assert!(watch.revision() > begun);
}

fn who_keeps_up_is_told_everything(scene: &Scene) {
    let mut watch = scene.watch(json!({ "patterns": ["a"] }));
    let mut peer = scene.daemon.connect();
    // What waits for it is little: it takes that before more comes.
    for round in 0..50 {
        set_all(
            &mut peer,
            (0..20).map(|n| ("a".to_owned(), format!("{round} {n}"))),
        );
        for n in 0..20 {
            assert_eq!(watch.event()["value"], format!("{round} {n}"));
        }
    }
    assert_eq!(watch.skipped(), 0);
}

fn who_does_not_keep_up_misses_values_but_not_the_last(scene: &Scene) {
    const CHANGES: u64 = 20_000;
    let last = format!("{CHANGES} ");
    let mut watch = scene.watch(json!({ "patterns": ["hot"] }));
    let mut peer = scene.daemon.connect();
    let filling = "x".repeat(1000);
    let taken = scene.daemon.memory_taken_by(|| {
        for from in (1..=CHANGES).step_by(1000) {
            set_all(
                &mut peer,
                (from..from + 1000).map(|n| ("hot".to_owned(), format!("{n} {filling}"))),
            );
        }
    });
    assert!(taken < 8 << 10, "{taken} KiB");
    let is_last = |event: &Value| {
        event["value"]
            .as_str()
            .is_some_and(|value| value.starts_with(&last))
    };
    let count = (1..).find(|_| is_last(&watch.event())).expect("it comes");
    watch.catch_up();
    let skipped = watch.skipped();
    assert!(skipped > 0);
    assert_eq!(count + skipped, CHANGES);
    assert_eq!(scene.ask("GetStatus", json!({}))["skippedEvents"], skipped);
    // It goes on.
    scene.set("hot", "on");
    assert_eq!(watch.event()["value"], "on");
}

/// What happens at 32 MiB, `tests/conformance/limits.rs` shows: watches alone do not get there.
fn when_too_much_waits_who_takes_nothing_is_cut_off(scene: &Scene) {
    let large = "x".repeat(1 << 20);
    let at = scene.set("blob", &large);
    let begin = |_| {
        let peer = scene.daemon.connect();
        let initial = json!({ "initial": true });
        peer.send(&json!({ "method": "io.globstash.Watch", "parameters": initial, "more": true }));
        peer
    };
    let mut stopped: Vec<Peer> = (0..20).map(begin).collect();
    // This one has to wait for somebody to go.
    let mut watch = scene.watch(json!({ "initial": true }));
    assert_eq!(watch.event()["value"], large);
    let instance = watch.instance();
    let is_closed = |peer: &mut Peer| !peer.receives_all();
    let closed = stopped.iter_mut().map(is_closed);
    assert!(closed.filter(|is_closed| *is_closed).count() > 0);
    drop(stopped);
    let from = json!({ "afterRevision": at - 1, "instance": instance });
    assert_eq!(scene.watch(from).catch_up()[0]["value"], large);
}

fn the_present_state_comes_first_if_asked_for(scene: &Scene) {
    let mut peer = scene.daemon.connect();
    set_all(
        &mut peer,
        (0..3000).map(|n| (format!("k/{n}"), "x".repeat(1000))),
    );
    scene.ask("Delete", json!({ "key": "k/7" }));
    for off in [json!({}), json!({ "initial": false })] {
        assert_eq!(scene.watch(off).catch_up().len(), 0);
    }
    let mut watch = scene.watch(json!({ "initial": true }));
    let events = watch.catch_up();
    assert_eq!(events.len(), 2999);
    assert!(
        events
            .iter()
            .all(|event| event["change"] == "set" && event["value"].is_string())
    );
    let told: std::collections::BTreeSet<_> = keys(&events).into_iter().collect();
    assert!(told.len() == 2999 && !told.contains("k/7"));
    assert_eq!(watch.revision(), scene.revision());
    scene.set("k/7", "1");
    assert_eq!(watch.event()["key"], "k/7");
}

fn initial_goes_before_a_revision(scene: &Scene) {
    scene.set("a", "1");
    let both = json!({ "initial": true, "afterRevision": 1, "instance": "no such" });
    let mut watch = scene.watch(both);
    assert_eq!(watch.reply().get("reset"), None);
    assert_eq!(keys(&watch.catch_up()), ["a"]);
}

fn a_watch_goes_on_where_another_ended(scene: &Scene) {
    scene.set("a", "1");
    scene.set("b", "1");
    let earlier = scene.watch(json!({}));
    let (position, instance) = (earlier.revision(), earlier.instance());
    assert_eq!(instance, scene.ask("GetStatus", json!({}))["instance"]);
    drop(earlier);
    scene.set("c", "1");
    scene.set("c", "2");
    scene.ask("Delete", json!({ "key": "a" }));
    let from = json!({ "afterRevision": position, "instance": instance });
    let mut watch = scene.watch(from);
    let events = watch.catch_up();
    let told: Vec<_> = events
        .iter()
        .map(|event| (&event["change"], &event["key"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("set"), &json!("c")),
            (&json!("deleted"), &json!("a"))
        ]
    );
    assert_eq!(events[0]["value"], "2");
    scene.set("d", "1");
    assert_eq!(watch.event()["key"], "d");
}

fn the_first_reply_names_the_instance(scene: &Scene) {
    scene.set("a", "1");
    let instance = scene.ask("GetStatus", json!({}))["instance"].take();
    let mut watch = scene.watch(json!({}));
    assert_eq!(watch.reply()["instance"], instance);
    scene.set("a", "2");
    let reply = watch.next_reply();
    let unset = ["instance", "reset", "skipped"].map(|name| reply.get(name));
    assert_eq!((unset, &reply["upToDate"]), ([None; 3], &json!(true)));
    let other = "0".repeat(32);
    let reset = scene.watch(json!({ "afterRevision": 1, "instance": other }));
    assert_eq!(reset.reply()["reset"], true);
    assert_eq!(reset.reply()["instance"], instance);
    // Resumed: what was replaced meanwhile was not counted for it.
    let resumed = scene.watch(json!({ "afterRevision": 0, "instance": instance }));
    assert_eq!(
        (resumed.reply().get("skipped"), resumed.reply().get("reset")),
        (None, None)
    );
    assert_eq!(resumed.reply()["events"].as_array().map(Vec::len), Some(1));
    // Without the instance it is taken for the one that runs.
    let resumed = scene.watch(json!({ "afterRevision": 1 }));
    assert_eq!(resumed.reply().get("reset"), None);
}

fn a_reset_tells_the_whole_state_and_what_is_not_in_it_is_gone(scene: &mut Scene) {
    scene.set("stays", "1");
    scene.set("goes", "1");
    let watch = scene.watch(json!({}));
    let (position, instance) = (watch.revision(), watch.instance());
    drop(watch);
    scene.ask("Delete", json!({ "key": "goes" }));
    let expect_reset = |scene: &Scene, after: u64, instance: &str| {
        let mut from = json!({ "afterRevision": after, "instance": instance });
        if scene.way == crate::scene::Way::Client {
            from["keys"] = json!(["stays", "goes"]);
        }
        let mut watch = scene.watch(from);
        if let Watching::Varlinkctl(..) = watch {
            assert_eq!(watch.reply()["reset"], true);
        }
        let events = watch.catch_up();
        let told: Vec<_> = events
            .iter()
            .map(|event| (&event["change"], &event["key"]))
            .collect();
        let stays = (&json!("set"), &json!("stays"));
        match watch {
            // It was told which keys were known.
            Watching::Client(_) => {
                assert_eq!(told.last(), Some(&(&json!("deleted"), &json!("goes"))))
            }
            Watching::Varlinkctl(..) => assert_eq!(told, [stays]),
        }
    };
    expect_reset(scene, position + 1000, &instance);
    expect_reset(scene, position, &"0".repeat(32));
    // After a crash nothing is known of deletions.
    scene.daemon.crash();
    scene.open();
    expect_reset(scene, position, &instance);
}

fn fields_come_if_asked_for(scene: &Scene) {
    let mut plain = scene.watch(json!({}));
    let mut full = scene.watch(json!({ "metadata": true }));
    let mut short = scene.watch(json!({ "keysOnly": true }));
    scene.set("a", "1");
    scene.ask("Delete", json!({ "key": "a" }));
    for _ in 0..2 {
        let events = [plain.event(), full.event(), short.event()];
        let has = |name: &str| events.each_ref().map(|event| event.get(name).is_some());
        assert_eq!(
            (has("value"), has("writer")),
            ([true, true, false], [false, true, false])
        );
    }
}
