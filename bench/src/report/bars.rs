//! A workload's ratios: a bar from 1 to the median of each cell, its quartiles, and its target.

use super::axis::Axis;
use super::canvas::{Anchor, BLUE, Canvas, GREEN, GREY, INK, LIGHT, PALE, RED, svg};
use super::scale::in_unit;
use super::{Verdict, pairs, table};
use crate::Failure;
use crate::contest::Outcome;

const WIDTH: i32 = 1_180;
/// Of the bars' part.
const PLOT: (i32, i32) = (250, 800);
const ROW: i32 = 20;
/// What stands above the first row, and below the last.
const HEAD: i32 = 30;
const FOOT: i32 = 14;
const TEXT: u32 = 14;

/// The cells of one situation, in which the subject is the same.
struct Group<'o> {
    title: String,
    outcomes: Vec<&'o Outcome>,
}

fn groups<'o>(outcomes: &[&'o Outcome]) -> Vec<Group<'o>> {
    let shared = pairs::shared(outcomes.iter().map(|outcome| outcome.cell.as_str()));
    let mut groups: Vec<Group<'o>> = Vec::new();
    for outcome in outcomes {
        let title = format!("{}: {}", pairs::rest(&outcome.cell, &shared), outcome.subject);
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.outcomes.push(outcome),
            None => groups.push(Group { title, outcomes: vec![outcome] }),
        }
    }
    groups
}

/// The plot as an `<svg>` element.
///
/// # Errors
///
/// If it can't be drawn.
pub(super) fn bars(outcomes: &[&Outcome]) -> Result<String, Failure> {
    let groups = groups(outcomes);
    let rows = groups.len() + outcomes.len();
    let height = HEAD + rows as i32 * ROW + FOOT;
    let ratios = outcomes.iter().flat_map(|outcome| {
        let target = outcome.target.map_or(1.0, |target| target.ratio());
        // A little on both sides of 1, so that the line stands free.
        [outcome.ratio.lower, outcome.ratio.upper, target, 0.8, 1.25]
    });
    let axis = Axis::over(ratios, 2.0, PLOT);
    svg((WIDTH as u32, height as u32), |canvas| {
        grid(canvas, &axis, height - FOOT)?;
        let mut y = HEAD + ROW / 2;
        for group in &groups {
            // Over the grid, which would run through the words.
            canvas.bar((0, y - 9), (WIDTH, y + 9), PALE)?;
            canvas.text((8, y), Anchor::Left, TEXT, INK, &group.title)?;
            y += ROW;
            for outcome in &group.outcomes {
                row(canvas, &axis, y, outcome)?;
                y += ROW;
            }
        }
        Ok(())
    })
}

fn grid(canvas: &Canvas<'_>, axis: &Axis, bottom: i32) -> Result<(), Failure> {
    for ratio in axis.ticks(12) {
        let x = axis.at(ratio);
        canvas.line([(x, HEAD - 8), (x, bottom)], LIGHT, 1)?;
        canvas.text((x, HEAD - 18), Anchor::Middle, TEXT, INK, &times(ratio))?;
    }
    let one = axis.at(1.0);
    canvas.line([(one, HEAD - 8), (one, bottom)], INK, 2)
}

/// `4x`, `1/4x`.
fn times(ratio: f64) -> String {
    if ratio < 1.0 { format!("1/{:.0}x", ratio.recip()) } else { format!("{ratio:.0}x") }
}

fn row(canvas: &Canvas<'_>, axis: &Axis, y: i32, outcome: &Outcome) -> Result<(), Failure> {
    let ratio = outcome.ratio;
    let color = match Verdict::on(ratio) {
        Verdict::Faster => GREEN,
        Verdict::Par => GREY,
        Verdict::Loss => RED,
    };
    canvas.text((PLOT.0 - 10, y), Anchor::Right, TEXT, INK, outcome.peer)?;
    canvas.bar((axis.at(1.0), y - 6), (axis.at(ratio.median), y + 6), color)?;
    let (lower, upper) = (axis.at(ratio.lower), axis.at(ratio.upper));
    canvas.line([(lower, y), (upper, y)], INK, 1)?;
    for end in [lower, upper] {
        canvas.line([(end, y - 4), (end, y + 4)], INK, 1)?;
    }
    if let Some(target) = outcome.target {
        let x = axis.at(target.ratio());
        canvas.line([(x, y - 9), (x, y + 9)], BLUE, 3)?;
    }
    let figures = format!(
        "{ratio}   {} / {}",
        in_unit(outcome.subject_ns, outcome.unit),
        in_unit(outcome.peer_ns, outcome.unit)
    );
    canvas.text((PLOT.1 + 14, y), Anchor::Left, TEXT, color, &figures)?;
    let Some(target) = outcome.target else { return Ok(()) };
    let color = if target.is_met(ratio) { GREEN } else { RED };
    let words = table::target(outcome).unwrap_or_default();
    canvas.text((WIDTH - 6, y), Anchor::Right, TEXT, color, &words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::results;

    #[test]
    fn every_cell_has_a_bar_and_every_target_a_tick() {
        let results = results();
        let outcomes: Vec<&Outcome> = results.finished().collect();
        let svg = bars(&outcomes).expect("it can be drawn");
        let titles = svg.matches("fill=\"#F3F5F8\"").count();
        assert_eq!((titles, svg.matches("<rect").count()), (2, titles + outcomes.len()));
        let ticks =
            format!("stroke=\"#{:02X}{:02X}{:02X}\" stroke-width=\"3\"", BLUE.0, BLUE.1, BLUE.2);
        assert_eq!(svg.matches(&ticks).count(), 2, "{svg}");
        for outcome in outcomes {
            assert!(svg.contains(outcome.peer) && svg.contains(outcome.subject));
        }
    }

    #[test]
    fn peers_of_one_situation_stand_together() {
        let results = results();
        let outcomes: Vec<&Outcome> = results.finished().collect();
        let mixed = [outcomes[0], outcomes[2], outcomes[1]];
        let groups = groups(&mixed);
        let sizes: Vec<usize> = groups.iter().map(|group| group.outcomes.len()).collect();
        assert_eq!(sizes, [2, 1]);
    }
}
