//! The results as one HTML page, with nothing outside of it.

use std::fmt::Write;

use super::bars::bars;
use super::curves::curves;
use super::scale::{in_unit, time};
use super::{Results, Verdict, pairs, table};
use crate::Failure;
use crate::contest::Outcome;

const STYLE: &str = "
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2128; background: #fff;
       max-width: 1200px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.25em; margin-top: 2em; border-bottom: 1px solid #e0e4e9; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2em .7em; text-align: left; border-bottom: 1px solid #eceff2; vertical-align: top; }
th { border-bottom: 2px solid #848e9c; } td.n, th.n { text-align: right; white-space: nowrap; }
.faster { color: #238b54; } .LOSS, .failed { color: #c83040; font-weight: 600; } .par { color: #5b6572; }
.t { white-space: nowrap; } .met { color: #238b54; } .missed { color: #c83040; }
figure { margin: 1em 0; overflow-x: auto; }
figcaption { color: #5b6572; } pre { background: #f5f7f9; padding: .6em; overflow-x: auto; }
.curves { display: flex; flex-wrap: wrap; gap: 0 1.2em; } .curves figcaption { max-width: 580px; }
";

/// The page.
///
/// # Errors
///
/// If a plot can't be drawn.
pub(crate) fn html(results: &Results) -> Result<String, Failure> {
    let mut page =
        String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    page += "<meta name=\"viewport\" content=\"width=device-width\">";
    write!(page, "<title>Tidegate benchmarks</title><style>{STYLE}</style></head><body>")?;
    page += "<h1>Tidegate benchmarks</h1>\n";
    facts(&mut page, results)?;
    failures(&mut page, results)?;
    claims(&mut page, results)?;
    for workload in results.workloads() {
        let outcomes: Vec<&Outcome> =
            results.finished().filter(|outcome| outcome.workload == workload).collect();
        writeln!(page, "<h2>{}</h2>", escaped(workload))?;
        let shared = pairs::shared(outcomes.iter().map(|outcome| outcome.cell.as_str()));
        if !shared.is_empty() {
            writeln!(page, "<p>All cells: {}.</p>", escaped(&shared.join(" ")))?;
        }
        plots(&mut page, results, &outcomes, &shared)?;
        cells(&mut page, &outcomes, &shared)?;
        latencies(&mut page, results, &outcomes, &shared)?;
        details(&mut page, &outcomes, &shared)?;
    }
    page += "</body></html>\n";
    Ok(page)
}

/// As the text of an element or the value of an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

/// The class of a target.
fn met_or_missed(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

fn facts(page: &mut String, results: &Results) -> Result<(), Failure> {
    let machine = &results.machine;
    let meter = &machine.gap_meter;
    let facts = [
        ("cells", table::counts(results)),
        ("command", format!("bench {}", results.command.join(" "))),
        ("date", humantime::format_rfc3339_seconds(results.date).to_string()),
        ("version", format!("{}, commit {}", env!("CARGO_PKG_VERSION"), machine.commit)),
        ("compiler", machine.rustc.clone()),
        ("processor", format!("{}, {} cores, {}", machine.cpu, machine.cores, machine.arch)),
        ("kernel", machine.kernel.clone()),
        ("governor", machine.governor.clone().unwrap_or_else(|| "unknown".to_owned())),
        (
            "gap meter",
            format!(
                "{}; {:.2} % of {:.1} s in gaps above 5 µs",
                table::percentiles(&meter.gaps),
                meter.share_above_5us * 100.0,
                meter.seconds
            ),
        ),
    ];
    *page += "<table>\n";
    for (name, fact) in facts {
        writeln!(page, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&fact))?;
    }
    *page += "</table>\n<p>A ratio says how many times faster the subject is than its peer: median of \
              the pairs, and quartiles. Both did the same work, and their checksums agreed. The gap \
              meter is a loop that only reads the clock: what it shows, the machine does to every \
              thread.</p>\n";
    Ok(())
}

fn failures(page: &mut String, results: &Results) -> Result<(), Failure> {
    if results.failed().next().is_none() {
        return Ok(());
    }
    *page += "<h2 class=\"failed\">Failed</h2>\n<table>\n";
    for failed in results.failed() {
        let cell = format!("{} {}", failed.workload, failed.cell);
        let contenders = format!("{} / {}", failed.subject, failed.peer);
        writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"failed\">{}</td></tr>",
            escaped(&cell),
            escaped(&contenders),
            escaped(&failed.why)
        )?;
    }
    *page += "</table>\n";
    Ok(())
}

fn claims(page: &mut String, results: &Results) -> Result<(), Failure> {
    let mut claimed = results
        .finished()
        .filter_map(|outcome| outcome.claim.map(|claim| (claim, outcome)))
        .peekable();
    if claimed.peek().is_none() {
        return Ok(());
    }
    *page += "<h2>Claims</h2>\n<table><tr><th>claim</th><th>measured</th></tr>\n";
    for (claim, outcome) in claimed {
        let class = match outcome.target {
            Some(target) => met_or_missed(target.is_met(outcome.ratio)),
            None => "par",
        };
        writeln!(
            page,
            "<tr><td>{}</td><td class=\"{class}\">{}</td></tr>",
            escaped(claim),
            escaped(&table::measured(outcome))
        )?;
    }
    *page += "</table>\n";
    Ok(())
}

fn plots(
    page: &mut String,
    results: &Results,
    outcomes: &[&Outcome],
    shared: &[&str],
) -> Result<(), Failure> {
    writeln!(
        page,
        "<figure>{}<figcaption>Bars go from 1 to the median ratio: green where the subject is faster, \
         red where it lost, grey where the quartiles (the thin line) reach 1. A blue tick is the \
         target. Figures are the subject's and the peer's.</figcaption></figure>",
        bars(outcomes)?
    )?;
    let mut figures = String::new();
    for outcome in outcomes {
        if let Some(plot) = curves(outcome, &results.machine.gap_meter.gaps)? {
            let cell = escaped(&pairs::rest(&outcome.cell, shared));
            write!(figures, "<figure><figcaption>{cell}</figcaption>{plot}</figure>")?;
        }
    }
    if !figures.is_empty() {
        writeln!(page, "<div class=\"curves\">{figures}</div>")?;
    }
    Ok(())
}

fn cells(page: &mut String, outcomes: &[&Outcome], shared: &[&str]) -> Result<(), Failure> {
    *page += "<table><tr><th>cell</th><th>subject</th><th>peer</th><th class=\"n\">subject</th>\
              <th class=\"n\">peer</th><th class=\"n\">ratio [quartiles]</th><th></th>\
              <th class=\"n\">pairs</th><th class=\"n\">mean batch</th><th>target</th></tr>\n";
    for outcome in outcomes {
        let word = Verdict::on(outcome.ratio).word();
        write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td>",
            escaped(&pairs::rest(&outcome.cell, shared)),
            escaped(outcome.subject),
            escaped(outcome.peer)
        )?;
        write!(
            page,
            "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n {word}\">{}</td>",
            in_unit(outcome.subject_ns, outcome.unit),
            in_unit(outcome.peer_ns, outcome.unit),
            outcome.ratio
        )?;
        writeln!(
            page,
            "<td class=\"{word}\">{word}</td><td class=\"n\">{}</td><td class=\"n\">{:.1}</td>\
             <td class=\"t {}\">{}</td></tr>",
            outcome.pairs,
            outcome.mean_batch,
            outcome.target.map_or("", |target| met_or_missed(target.is_met(outcome.ratio))),
            escaped(&table::target(outcome).unwrap_or_default())
        )?;
    }
    *page += "</table>\n";
    Ok(())
}

fn latencies(
    page: &mut String,
    results: &Results,
    outcomes: &[&Outcome],
    shared: &[&str],
) -> Result<(), Failure> {
    let measured = |outcome: &&Outcome| {
        outcome.subject_latencies.is_some() || outcome.peer_latencies.is_some()
    };
    if !outcomes.iter().any(measured) {
        return Ok(());
    }
    *page += "<table><tr><th>latencies</th><th></th><th class=\"n\">p50</th><th class=\"n\">p99</th>\
              <th class=\"n\">p99.9</th><th class=\"n\">max</th></tr>\n";
    let mut row = |cell: &str, name: &str, latencies: &hdrhistogram::Histogram<u64>| {
        let at = |quantile| time(latencies.value_at_quantile(quantile) as f64);
        writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escaped(cell),
            escaped(name),
            at(0.5),
            at(0.99),
            at(0.999),
            time(latencies.max() as f64)
        )
    };
    for outcome in outcomes {
        if let Some(latencies) = &outcome.subject_latencies {
            row(&pairs::rest(&outcome.cell, shared), outcome.subject, latencies)?;
        }
        if let Some(latencies) = &outcome.peer_latencies {
            row(&pairs::rest(&outcome.cell, shared), outcome.peer, latencies)?;
        }
    }
    row("", "gap meter", &results.machine.gap_meter.gaps)?;
    *page += "</table>\n";
    Ok(())
}

fn details(page: &mut String, outcomes: &[&Outcome], shared: &[&str]) -> Result<(), Failure> {
    for outcome in outcomes {
        let subject = outcome.subject_details.iter().map(|detail| (outcome.subject, detail));
        let peer = outcome.peer_details.iter().map(|detail| (outcome.peer, detail));
        for (name, detail) in subject.chain(peer) {
            writeln!(
                page,
                "<details><summary>{}, {}: {}</summary><pre>{}</pre></details>",
                escaped(&pairs::rest(&outcome.cell, shared)),
                escaped(name),
                escaped(detail.name),
                escaped(&detail.text)
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::results;

    fn page() -> String {
        html(&results()).expect("the plots can be drawn")
    }

    #[test]
    fn the_page_refers_to_nothing_outside_of_it() {
        let page = page();
        for outside in ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn every_workload_has_its_bars_and_every_cell_its_row() {
        let page = page();
        assert_eq!(page.matches("<svg").count(), 3, "two with bars, one with curves");
        assert_eq!(
            page.matches("<rect").count(),
            2 + 3,
            "a band for each situation, a bar for each cell"
        );
        for outcome in results().finished() {
            let cell = format!("<td>{}</td><td>{}</td>", outcome.cell, outcome.subject);
            assert!(page.contains(&cell), "{cell}");
        }
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let page = page();
        assert!(page.contains("sloppy &lt;map&gt;: items were lost"));
        assert!(page.contains("Testium &lt;3&gt; &amp; co"));
        assert!(!page.contains("<map>") && !page.contains("<3>") && !page.contains("--only <*"));
    }

    #[test]
    fn claims_failures_and_the_gap_meter_are_there() {
        let page = page();
        assert!(page.contains("a parked engine wakes as fast as a thread"));
        assert!(page.contains("class=\"failed\">Failed"));
        assert!(page.contains("of 0.2 s in gaps above 5 µs"));
    }
}
