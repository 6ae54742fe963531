//! Whatever a segment holds, a reader answers after a bounded number of steps.

#![no_main]

#[path = "../../../src/map/mod.rs"]
#[allow(dead_code, unused_imports, reason = "a target uses a part of it")]
mod map;
#[path = "../memory.rs"]
#[allow(dead_code, reason = "as above")]
mod memory;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

use map::{Answer, Handle, Reader};
use memory::{Damage, Plain, key, sample};

#[derive(Debug, Arbitrary)]
struct Input<'i> {
    /// Numbers of keys that are read by handle before the damage.
    handles: [u8; 2],
    damages: Vec<Damage>,
    keys: [u8; 4],
    other: &'i [u8],
}

thread_local! {
    static SAMPLE: Plain = sample().1;
}

fuzz_target!(|input: Input<'_>| {
    let memory = SAMPLE.with(Plain::clone);
    let reader = Reader::new(memory.clone());
    let mut handles = input.handles.map(|number| Handle::new(&key(number)));
    for handle in &mut handles {
        reader.refresh(handle);
    }
    let damage = |damage: &Damage| damage.apply(&memory);
    let damaged = input.damages.iter().map(damage).collect();
    for handle in &mut handles {
        if let Answer::Found(_) = reader.refresh(handle) {
            // Nothing changes any more.
            assert!(!reader.has_changed(handle));
        }
    }
    let mut value = Vec::new();
    let keys = input.keys.map(key);
    for key in keys.iter().map(Vec::as_slice).chain([input.other]) {
        let answer = reader.get(key, &mut value);
        let mut handle = Handle::new(key);
        assert_eq!(reader.refresh(&mut handle), answer);
        if let Answer::Found(_) = answer {
            assert_eq!(handle.value(), value);
        }
    }
    reader.is_served();
    let _ = reader.scan(|_| true);
    memory.repair(damaged);
});
