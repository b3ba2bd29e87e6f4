//! What gungraun says of its runs: one JSON object a line.

use std::path::PathBuf;

use serde_json::Value;

/// One gate, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Group, function and case: `turns fixed_100 keys_8`.
    pub gate: String,
    /// Instructions in all, for [`ITEMS`](crate::ITEMS) items.
    pub instructions: u64,
    /// The program that ran.
    pub program: String,
    /// Where callgrind's profile lies.
    pub profile: PathBuf,
}

/// A summary that can't be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SummaryError {
    /// A line is no JSON object.
    #[error("line {0} of the summary is no JSON object")]
    NoObject(usize),
    /// An object lacks what is needed: this version of gungraun writes something else.
    #[error("line {line} of the summary has no {field}")]
    Field {
        /// The line, from 1.
        line: usize,
        /// What is missing.
        field: &'static str,
    },
    /// Nothing was counted.
    #[error("the summary has no gate")]
    Empty,
}

/// Reads what `cargo bench -- --output-format=json` prints.
///
/// # Errors
///
/// [`SummaryError`] if a line is not understood, or if there is none.
pub fn counted(text: &str) -> Result<Vec<Counted>, SummaryError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let gates: Vec<_> =
        lines.map(|(index, line)| read(line, index + 1)).collect::<Result<_, _>>()?;
    if gates.is_empty() { Err(SummaryError::Empty) } else { Ok(gates) }
}

fn read(text: &str, line: usize) -> Result<Counted, SummaryError> {
    let object: Value = serde_json::from_str(text).map_err(|_| SummaryError::NoObject(line))?;
    let field =
        |field: &'static str| object[field].as_str().ok_or(SummaryError::Field { line, field });
    let (group, function, case) = (field("group")?, field("function_name")?, field("id")?);
    let profiles = object["profiles"].as_array().into_iter().flatten();
    let mut totals = profiles.map(|profile| &profile["data"]["total"]["metrics"]);
    let total = totals.find_map(|metrics| metrics["Ir"]["values"]["new"].as_u64());
    let file = format!("callgrind.{function}.{case}.out");
    Ok(Counted {
        gate: format!("{group} {function} {case}"),
        instructions: total.ok_or(SummaryError::Field { line, field: "count of instructions" })?,
        program: field("benchmark_exe")?.to_owned(),
        profile: PathBuf::from(field("output_dir")?).join(file),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"benchmark_exe":"/b/x","function_name":"push","group":"rings","id":"by_1",
"output_dir":"/o/rings/push.by_1","profiles":[{"data":{"total":{"metrics":{"Ir":{"values":{"new":71}}}}}}]}"#;

    #[test]
    fn gates_are_read_with_all_that_is_needed_to_look_closer() {
        let gates = counted(&format!("{}\n\n", LINE.replace('\n', ""))).unwrap();
        let expected = Counted {
            gate: "rings push by_1".to_owned(),
            instructions: 71,
            program: "/b/x".to_owned(),
            profile: "/o/rings/push.by_1/callgrind.push.by_1.out".into(),
        };
        assert_eq!(gates, [expected]);
    }

    #[test]
    fn a_summary_that_is_cut_off_empty_or_of_another_kind_is_refused() {
        let line = LINE.replace('\n', "");
        assert_eq!(counted("\n"), Err(SummaryError::Empty));
        assert_eq!(counted(&line[..50]), Err(SummaryError::NoObject(1)));
        let other = line.replace("\"Ir\"", "\"Dr\"");
        assert!(matches!(counted(&other), Err(SummaryError::Field { line: 1, .. })));
    }
}
