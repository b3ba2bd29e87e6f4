//! Each contender does its work on a small case, and what came of it is read back.

use super::*;
use crate::peer::Case;

fn comes_through(case: Situation, contenders: &[&dyn Peer<Situation>]) {
    for contender in contenders {
        let run =
            contender.run(case).unwrap_or_else(|error| panic!("{}: {error}", contender.name()));
        let checked = run.handled.digest.check(case.expected(), contender.name());
        checked.unwrap_or_else(|error| panic!("{}: {error}", case.cell()));
        assert!(run.ns > 0.0, "{}: {}", contender.name(), run.ns);
    }
}

#[test]
fn what_a_handler_brings_to_its_place_is_there_whatever_a_call_costs() {
    let prices = [Price::Free, Price::Busy(5), Price::Sqlite, Price::File, Price::Echo];
    for price in prices {
        let case = situation(Claim::Throughput, price, Load::Runs, 150);
        comes_through(case, &[&Flooded(Mode::Single), &Flooded(Mode::Tiers)]);
    }
}

#[test]
fn pop_loops_handle_all_that_is_pushed() {
    let situations =
        [(Price::Free, Load::Each), (Price::Free, Load::Runs), (Price::Busy(1), Load::Runs)];
    for (price, load) in situations {
        let case = situation(Claim::Fair, price, load, 20_000);
        comes_through(case, &[&Flooded(Mode::Single), &RtrbPopLoop, &RingbufPopLoop]);
    }
}

#[test]
fn a_pop_loop_that_lacks_the_handler_fails_its_run() {
    let case = situation(Claim::Fair, Price::Sqlite, Load::Runs, 10);
    let failure = RtrbPopLoop.run(case).expect_err("it has none");
    assert!(failure.to_string().contains("SQLite"), "{failure}");
}

#[test]
fn a_backlog_is_handled_when_all_of_it_is_there() {
    let case = situation(Claim::Overhead, Price::Free, Load::Backlog, 10_000);
    comes_through(case, &[&Backlogged(Mode::Single), &Backlogged(Mode::Tiers)]);
}

#[test]
fn paced_items_are_all_timed() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson, Arrivals::Bursts(200)] {
        let load = Load::Paced { arrivals, percent: 50, of: Mode::Single };
        let case = situation(Claim::Tail, Price::Busy(5), load, 2_000);
        let contenders: &[&dyn Peer<Situation>] = &[
            &Delayed(Mode::Tiers),
            &Added(Mode::Tiers),
            &Processor(Mode::Hundred),
            &Formed(Mode::Tiers),
        ];
        comes_through(case, contenders);
        let delays = Delayed(Mode::Tiers).run(case).expect("it passes").latencies.expect("timed");
        assert!(delays.min() >= 5_000, "a call takes 5 µs, not {} ns", delays.min());
    }
}

#[test]
fn waiting_items_are_counted_in_bytes() {
    for cell in memory() {
        let run = (cell.run_subject)().expect("they wait");
        assert!((32.0..1_000.0).contains(&run.ns), "{} bytes", run.ns);
        let grouped = (cell.run_peer)().expect("they are grouped");
        assert!(grouped.ns >= 32.0, "{} bytes", grouped.ns);
    }
}

#[test]
fn every_claim_has_its_cells_and_all_cells_differ() {
    let cells = cells();
    let claims = [
        Claim::Fair,
        Claim::Throughput,
        Claim::Overhead,
        Claim::Processor,
        Claim::Tail,
        Claim::Added,
        Claim::Formation,
        Claim::Floor,
        Claim::Memory,
    ];
    for claim in claims {
        let prefix = format!("claim={} ", claim.name());
        assert!(cells.iter().any(|cell| cell.cell.starts_with(&prefix)), "{prefix}");
    }
    let lines: std::collections::HashSet<String> = cells.iter().map(|cell| cell.line()).collect();
    assert_eq!(lines.len(), cells.len());
}
