//! The agent behaves the same under every sizing: each test here runs under all of them, and says the same
//! of each, with not a line of difference.

#[path = "../agent/mod.rs"]
mod agent;
mod order;
mod rig;
mod states;

use engine::Sizing;

/// Makes a module of tests for each sizing.
macro_rules! under_every_sizing {
    ($($of:ident: $($name:ident)*;)*) => {
        under_every_sizing!(@ single, Sizing::Single, $($($of::$name)*)*);
        under_every_sizing!(@ fixed_2, Sizing::Fixed(2), $($($of::$name)*)*);
        under_every_sizing!(@ fixed_100, Sizing::Fixed(100), $($($of::$name)*)*);
        under_every_sizing!(@ tiers, Sizing::default(), $($($of::$name)*)*);
    };
    (@ $module:ident, $sizing:expr, $($of:ident::$name:ident)*) => {
        mod $module {
            use super::*;
            $(#[test] fn $name() { $of::$name($sizing); })*
        }
    };
}

under_every_sizing! {
    states:
        a_value_is_set_merged_deleted_and_reset_by_its_path
        a_later_instruction_sees_what_an_earlier_one_made
        a_failure_stops_the_rest_and_restores_the_state
        a_signal_of_an_unknown_type_fails_alone
        a_crash_fails_its_signal_alone_and_leaves_the_state;
    order:
        parameters_are_one_key_however_they_are_written
        signals_are_handled_first_in_first_out
        directives_run_before_what_waits_and_in_their_order
        a_directive_too_many_fails_its_signal_and_enqueues_nothing
        an_overflow_is_an_error_and_leaves_the_queue_unchanged
        a_step_handles_exactly_one_signal
        a_signal_is_tried_again_before_what_waits_behind_it
        a_flush_is_complete_when_everything_before_it_is_settled;
}
