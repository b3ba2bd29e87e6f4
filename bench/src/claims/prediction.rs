//! What the cost model makes of a run: how much faster batches of the size reached should have made it.

use engine::{Cost, Snapshot};
use serde_json::json;

use crate::run::Run;

/// What an engine says of its handler's calls: all that a prediction needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    /// A call's and an item's cost, fitted from the spread of batch sizes; `None` of batches of one size.
    pub(crate) cost: Option<Cost>,
    /// Items of a call, on average.
    pub(crate) mean_batch: f64,
    pub(crate) batches: u64,
    pub(crate) done: u64,
}

impl From<&Snapshot> for Calls {
    fn from(snapshot: &Snapshot) -> Self {
        Self {
            cost: snapshot.cost(),
            mean_batch: snapshot.mean_batch(),
            batches: snapshot.batches,
            done: snapshot.done,
        }
    }
}

/// Adds the cost model's prediction, and how effective the batches were: the calls that were avoided,
/// times a call's cost, are the overhead that was saved, here in parts of the time that the handler was
/// busy.
pub(crate) fn with_prediction(run: Run, calls: Calls) -> Run {
    let Calls { cost, mean_batch: mean, batches, done } = calls;
    // Without a fit nothing can be said, nor of a handler that took no time.
    let Some(cost) = cost else { return run };
    let (calls, items) = (batches as f64, done as f64);
    let busy = calls * cost.call_ns + items * cost.item_ns;
    if busy <= 0.0 {
        return run;
    }
    let saved = (items - calls) * cost.call_ns / busy;
    let faster = cost.speedup(mean);
    let text = format!(
        "cost model: {:.0} ns a call and {:.1} ns an item; {mean:.1} items a call make the handler {faster:.1}x as fast, \
         and save {saved:.1} times its time",
        cost.call_ns, cost.item_ns
    );
    let value = json!({
        "call_ns": cost.call_ns,
        "item_ns": cost.item_ns,
        "items_per_call": mean,
        "speedup": faster,
        "overhead_saved": saved,
    });
    run.with_detail("cost_model", text, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Detail, Handled};
    use std::time::Duration;

    fn predicted(cost: Option<Cost>) -> Option<Detail> {
        let run = Run::of_throughput(Duration::from_micros(70), Handled::default());
        let calls = Calls { cost, mean_batch: 10.0, batches: 10, done: 100 };
        with_prediction(run, calls).details.pop()
    }

    #[test]
    fn a_prediction_is_that_of_the_cost_model() {
        // 10 calls of 5 µs and 100 items of 100 ns: 60 µs, where one at a time would take 510.
        let detail = predicted(Some(Cost { call_ns: 5_000.0, item_ns: 100.0 })).expect("one");
        assert_eq!(detail.name, "cost_model");
        let number = |name: &str| detail.value[name].as_f64().expect("a number");
        assert_eq!((number("call_ns"), number("item_ns")), (5_000.0, 100.0));
        assert_eq!(number("items_per_call"), 10.0);
        assert!((number("speedup") - 8.5).abs() < 1e-9, "{}", detail.value);
        assert!((number("overhead_saved") - 7.5).abs() < 1e-9, "{}", detail.value);
        assert!(detail.text.contains("10.0 items a call make the handler 8.5x"), "{}", detail.text);
    }

    #[test]
    fn without_a_fit_or_of_a_handler_that_takes_no_time_nothing_is_predicted() {
        assert_eq!(predicted(None), None);
        assert_eq!(predicted(Some(Cost { call_ns: 0.0, item_ns: 0.0 })), None);
    }
}
