//! The interface file, read literally: each of its sentences with the tests that prove it, through
//! our client and through `varlinkctl`.
//!
//! A chapter here is a chapter there: the introduction, the types, each method, the errors. It
//! opens with a table, `proofs!`, of its tests and the sentences that each of them proves, word by
//! word. A test is written once, as a function of a [`Scene`](scene::Scene), and played twice: with
//! our client as the one who calls, and with the `varlinkctl` of the box that `tests/prepare` makes.
//!
//! A sentence that no table has fails `each_sentence_of_the_interface_is_proved`, which prints it as
//! it is to be entered.

#[path = "../common/mod.rs"]
mod common;

mod client;
#[macro_use]
mod proofs;
mod scene;
mod sentences;
mod varlinkctl;

mod apply;
mod delete;
mod errors;
mod expire;
mod get;
mod get_status;
mod increment;
mod introduction;
mod list;
mod open_map;
mod patterns;
mod set;
mod types;
mod wait;
mod watch;

use std::collections::BTreeSet;

use sentences::Sentence;

/// All tables.
const CHAPTERS: [&[Sentence]; 15] = [
    introduction::PROVED,
    patterns::PROVED,
    types::PROVED,
    set::PROVED,
    get::PROVED,
    delete::PROVED,
    expire::PROVED,
    list::PROVED,
    watch::PROVED,
    wait::PROVED,
    increment::PROVED,
    apply::PROVED,
    open_map::PROVED,
    get_status::PROVED,
    errors::PROVED,
];

#[test]
fn each_sentence_of_the_interface_is_proved() {
    let said = sentences::of_the_interface();
    let proved: BTreeSet<_> = CHAPTERS.iter().copied().flatten().copied().collect();
    let mut wrong = String::new();
    for (place, sentence) in said
        .iter()
        .filter(|(place, sentence)| !proved.contains(&(&**place, &**sentence)))
    {
        wrong += &format!("no proof of    {place:?}: {sentence:?},\n");
    }
    for (place, sentence) in proved
        .iter()
        .filter(|(place, sentence)| !said.contains(&((*place).to_owned(), (*sentence).to_owned())))
    {
        wrong += &format!("is not said    {place:?}: {sentence:?},\n");
    }
    assert!(
        wrong.is_empty(),
        "the interface file and the tables of tests/interface differ:\n{wrong}"
    );
}
