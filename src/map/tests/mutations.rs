//! Every protection is there for a reason: without it, one of the other tests fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::crash::{self, crash_everywhere};
use super::history::{History, Scenario};
use super::loom;
use super::travel::{self, travel_everywhere};
use crate::map::protection::{Protection, without};

/// Most histories that are tried before a protection counts as useless.
const SEEDS: u64 = 400;

/// One test for each protection; to have none for one does not compile.
macro_rules! noticed {
    ($($name:ident: without $protection:ident, $check:expr;)*) => {
        $(
            #[test]
            fn $name() {
                assert_noticed(Protection::$protection, || $check);
            }
        )*

        /// All protections have a test.
        fn _all(protection: Protection) {
            match protection {
                $(Protection::$protection => {})*
            }
        }
    };
}

noticed! {
    the_stamp_is_looked_at_again: without Stamp, travel(Scenario::Restless);
    the_slot_is_looked_at_again: without Slot, travel(Scenario::Restless);
    the_root_is_looked_at_again_after_a_hit: without RootOfHit, travel(Scenario::Restless);
    the_root_is_looked_at_again_after_a_miss: without RootOfMiss, travel(Scenario::Restless);
    the_revision_is_looked_at_again_after_a_scan: without RevisionOfScan, travel(Scenario::Restless);
    what_was_copied_comes_before_what_is_looked_at_again: without ReaderFence, loom(&loom::OVERWRITE);
    the_root_comes_before_its_table: without RootFence, loom(&loom::SWITCH);
    lines_that_overflowed_have_no_empty_slots: without Tomb, travel(Scenario::Crowded);
    content_is_written_before_it_is_published: without Content, crash(Scenario::Mixed);
    a_block_that_can_be_found_stays_as_it_is: without OldBlock, crash(Scenario::Mixed);
    the_revision_is_taken_first: without RevisionFirst, crash(Scenario::Mixed);
    blocks_are_gone_before_their_memory_is_written: without ReuseFence, loom(&loom::OVERWRITE);
    the_stamp_grows: without StampGrows, travel(Scenario::Restless);
    content_comes_before_its_slot: without PublishOrder, loom(&loom::OVERWRITE);
    the_redo_record_is_complete_before_it_counts: without RedoFirst, crash(Scenario::Mixed);
    the_redo_record_counts_until_all_is_done: without RedoUntilDone, crash(Scenario::Mixed);
    changes_go_to_both_tables: without Mirror, travel(Scenario::Restless);
    the_generation_grows: without GenerationGrows, travel(Scenario::Restless);
    blocks_are_copied_before_they_are_moved: without MoveContent, crash(Scenario::Sparse);
}

/// What a glance that finds its key does not share with a search is noticed there as well.
#[test]
fn a_glance_needs_the_fences_too() {
    let fences = [
        Protection::ReaderFence,
        Protection::ReuseFence,
        Protection::PublishOrder,
    ];
    for fence in fences {
        assert_noticed(fence, || loom(&loom::GLANCE));
    }
}

fn crash(scenario: Scenario) {
    let mut figures = crash::Figures::default();
    for seed in 0..SEEDS {
        crash_everywhere(&History::random(scenario, seed, 30), seed, &mut figures);
    }
}

fn travel(scenario: Scenario) {
    let mut figures = travel::Figures::default();
    for seed in 0..SEEDS {
        travel_everywhere(&History::random(scenario, seed, 60), seed, &mut figures);
    }
}

fn loom(race: &'static loom::Race) {
    race.run();
}

fn assert_noticed(protection: Protection, check: impl FnOnce()) {
    let end = catch_unwind(AssertUnwindSafe(|| without(protection, check)));
    assert!(end.is_err(), "nothing is noticed without {protection:?}");
}
