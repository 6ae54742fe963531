//! Get.

use serde_json::json;

use crate::scene::{Scene, revision};

proofs! {
    a_variable_is_read {
        "Get": "Read a variable.",
        "Get.key": "The key.",
        "Get().defined": "Whether the variable is defined.",
        "Get().value": "The value, if it is text; the empty string if the variable is not defined.",
        "Get().data": "The value in Base64, if it is not text.",
        "Get().revision": "The revision of its last change, 0 if it is not defined.",
    }
    what_is_not_defined_is_no_error {
        "Get": "A variable that is not defined is no error: 'defined' is false, 'value' is the empty string and 'revision' is 0.",
    }
    the_entry_comes_if_asked_for {
        "Get.metadata": "Whether to return the full entry as well.",
        "Get.metadata": "Defaults to false.",
        "Get().entry": "The full entry, without the value, if asked for and if the variable is defined.",
    }
}

fn a_variable_is_read(scene: &Scene) {
    for (value, field, told) in [("1", "value", "1"), ("", "value", "")] {
        let at = scene.set("a", value);
        let get = scene.ask("Get", json!({ "key": "a" }));
        assert_eq!((revision(&get), &get["defined"]), (at, &json!(true)));
        assert_eq!(get[field], told);
    }
    let set = scene.ask("Set", json!({ "key": "b", "data": "AP8=" }));
    let get = scene.ask("Get", json!({ "key": "b" }));
    let told = (revision(&get), &get["data"], get.get("value"));
    assert_eq!(told, (revision(&set), &json!("AP8="), None));
    let get = scene.ask("Get", json!({ "key": "a" }));
    assert_eq!(
        (revision(&get), get.get("data")),
        (2, None),
        "its own revision"
    );
}

fn what_is_not_defined_is_no_error(scene: &Scene) {
    scene.set("a", "1");
    scene.ask("Delete", json!({ "key": "a" }));
    let nothing = json!({ "defined": false, "value": "", "revision": 0 });
    for key in ["a", "never"] {
        assert_eq!(scene.ask("Get", json!({ "key": key })), nothing);
        let full = scene.ask("Get", json!({ "key": key, "metadata": true }));
        assert_eq!(full, nothing);
    }
}

fn the_entry_comes_if_asked_for(scene: &Scene) {
    let at = scene.set("a", "1");
    for parameters in [
        json!({ "key": "a" }),
        json!({ "key": "a", "metadata": false }),
    ] {
        assert_eq!(scene.ask("Get", parameters).get("entry"), None);
    }
    let get = scene.ask("Get", json!({ "key": "a", "metadata": true }));
    assert_eq!(get["value"], "1");
    let entry = &get["entry"];
    assert_eq!((&entry["key"], revision(entry)), (&json!("a"), at));
    for field in ["modifiedUSec", "protected", "ownerUid", "writer"] {
        assert!(entry.get(field).is_some(), "{field}");
    }
    assert_eq!(entry.get("value"), None);
    assert_eq!(entry.get("data"), None);
}
