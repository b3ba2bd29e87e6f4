//! The agent behaves the same on every engine: each test here runs under every sizing, on one shard and on
//! several, with operations set up and, where it needs none, without, and says the same of each, with not a
//! line of difference.

#[path = "../agent/mod.rs"]
mod agent;
mod order;
mod rig;
mod states;

use agent::place::{AgentAsKey, ByAgent};
use engine::{Grouping, Sizing};
use rig::Terms;

/// Makes a module of tests for each kind of engine, sizing and number of shards.
macro_rules! on_every_engine {
    (
        whatever_it_does { $($of:ident: $($name:ident)*;)* }
        with_operations { $($those_of:ident: $($operation:ident)*;)* }
    ) => {
        mod with_operations {
            use super::*;
            on_every_engine!(@ sizings [
                $($($name: $of::$name::<ByAgent>;)*)*
                $($($operation: $those_of::$operation;)*)*
            ]);
        }
        mod plain {
            use super::*;
            on_every_engine!(@ sizings [$($($name: $of::$name::<AgentAsKey>;)*)*]);
        }
        // Windows can't see how deep a lane is, nor a key before they close: an engine that has them refuses
        // every sizing but a fixed one, and all operations.
        mod windowed {
            use super::*;
            const WINDOWS: Grouping = Grouping::Windowed { items: 1_024 };
            on_every_engine!(@ fixed WINDOWS, [$($($name: $of::$name::<AgentAsKey>;)*)*]);
        }
    };
    (@ sizings $tests:tt) => {
        on_every_engine!(@ shards single, Sizing::Single, Grouping::Hashed, $tests);
        on_every_engine!(@ fixed Grouping::Hashed, $tests);
        on_every_engine!(@ shards tiers, Sizing::default(), Grouping::Hashed, $tests);
    };
    (@ fixed $grouping:expr, $tests:tt) => {
        on_every_engine!(@ shards fixed_2, Sizing::Fixed(2), $grouping, $tests);
        on_every_engine!(@ shards fixed_100, Sizing::Fixed(100), $grouping, $tests);
    };
    (@ shards $module:ident, $sizing:expr, $grouping:expr, $tests:tt) => {
        mod $module {
            use super::*;
            on_every_engine!(@ tests on_one_shard, Terms::new($sizing, $grouping, 1), $tests);
            on_every_engine!(@ tests on_two_shards, Terms::new($sizing, $grouping, 2), $tests);
            on_every_engine!(@ tests on_four_shards, Terms::new($sizing, $grouping, 4), $tests);
        }
    };
    (@ tests $module:ident, $terms:expr, [$($name:ident: $run:expr;)*]) => {
        mod $module {
            use super::*;
            $(#[test] fn $name() { $run($terms); })*
        }
    };
}

on_every_engine! {
    whatever_it_does {
        states:
            a_value_is_set_merged_deleted_and_reset_by_its_path
            a_later_instruction_sees_what_an_earlier_one_made
            a_failure_stops_the_rest_and_restores_the_state
            a_signal_of_an_unknown_type_fails_alone
            a_crash_fails_its_signal_alone_and_leaves_the_state;
        order:
            signals_are_handled_first_in_first_out;
    }
    with_operations {
        order:
            parameters_are_one_key_however_they_are_written
            directives_run_before_what_waits_and_in_their_order
            a_directive_too_many_fails_its_signal_and_enqueues_nothing
            an_overflow_is_an_error_and_leaves_the_queue_unchanged
            a_step_handles_exactly_one_signal
            a_signal_is_tried_again_before_what_waits_behind_it
            a_flush_is_complete_when_everything_before_it_is_settled;
    }
}
