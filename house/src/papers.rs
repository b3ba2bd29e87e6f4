//! What the papers point to exists.
//!
//! Checked are relative links with their anchors, everything in backticks that looks like a path of the
//! tree, and the names of scripts anywhere, in blocks of code too.

use crate::breach::Breach;
use crate::scripts::is_executable;
use crate::tree::Tree;

/// Checks one paper. `no_paths` lists what looks like a path and is none (`rows/s`); of a path that
/// begins with one of `made_later` nothing is said, because a build makes it.
#[must_use]
pub fn check(
    tree: &Tree,
    path: &str,
    text: &str,
    no_paths: &[&str],
    made_later: &[&str],
) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for (line, prose) in prose_lines(text) {
        for target in links(&without_code(prose)) {
            breaches.extend(
                link_breach(tree, path, text, folder, &target)
                    .map(|what| Breach::new(path, line, what)),
            );
        }
        for span in code_spans(prose) {
            for word in span.split_whitespace().filter(|word| looks_like_path(word)) {
                let known = no_paths.contains(&word)
                    || made_later.iter().any(|prefix| word.starts_with(prefix))
                    || tree.has(word)
                    || tree.has(&join(folder, word))
                    || tree.has_somewhere(word.trim_start_matches("./"));
                if !known {
                    breaches.push(Breach::new(path, line, format!("`{word}` does not exist")));
                }
            }
        }
    }
    for (index, line) in text.lines().enumerate() {
        for script in script_names(line) {
            let found = tree.root.join(script);
            let what = if !found.exists() {
                format!("the script `{script}` does not exist")
            } else if found.is_file() && !script.contains("/lib/") && !is_executable(&found) {
                format!("the script `{script}` is not executable")
            } else {
                continue;
            };
            breaches.push(Breach::new(path, index + 1, what));
        }
    }
    breaches.dedup();
    breaches
}

fn link_breach(tree: &Tree, path: &str, text: &str, folder: &str, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = file.trim_start_matches("./");
    let (name, other);
    let text = if file.is_empty() {
        name = path.to_owned();
        text
    } else {
        name = join(folder, file);
        if !tree.has(&name) {
            return Some(format!("the link to `{target}` leads nowhere"));
        }
        if anchor.is_empty() {
            return None;
        }
        other = tree.text(&name).unwrap_or_default();
        &other
    };
    let found = anchor.is_empty() || anchors(text).iter().any(|known| known == anchor);
    (!found).then(|| format!("no heading in {name} makes the anchor `#{anchor}`"))
}

/// `folder/file` with `..` resolved.
fn join(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The lines outside fenced blocks, with their numbers.
fn prose_lines(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let ticks = &start[..start.len() - start.trim_start_matches('`').len()];
        match fence {
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => lines.push((index + 1, line)),
            Some(open) if ticks.len() >= open.len() && start.trim_end() == ticks => fence = None,
            Some(_) => {}
        }
    }
    lines
}

/// The anchors that headings make, as GitHub forms them; a heading that comes again gets a number.
fn anchors(text: &str) -> Vec<String> {
    let mut made: Vec<String> = Vec::new();
    for (_, line) in prose_lines(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let slug: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        let twins = made.iter().filter(|known| **known == slug).count();
        made.push(if twins == 0 { slug } else { format!("{slug}-{twins}") });
    }
    made
}

/// The targets of `[text](target)` and `[name]: target`.
fn links(line: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut rest = line;
    while let Some((_, behind)) = rest.split_once("](") {
        let Some((target, after)) = behind.split_once(')') else { break };
        targets.push(target.split_whitespace().next().unwrap_or("").to_owned());
        rest = after;
    }
    if let Some((name, target)) = line.trim_start().split_once("]: ")
        && name.starts_with('[')
        && !name.starts_with("[^")
    {
        targets.extend(target.split_whitespace().next().map(str::to_owned));
    }
    targets.retain(|target| !target.is_empty());
    targets
}

/// What stands between single backticks in a line.
fn code_spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("code")
}

fn looks_like_path(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ',', ';', ':']);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let ending = [".rs", ".md", ".toml", ".csv.gz"]
        .iter()
        .any(|e| word.ends_with(e) && word.len() > e.len());
    word.chars().all(allowed)
        && word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.')
        && (word.contains('/') || ending)
}

/// Every `scripts/name` in a line.
fn script_names(line: &str) -> Vec<&str> {
    line.match_indices("scripts/")
        .filter(|(at, _)| !line[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '/'))
        .map(|(at, _)| {
            let tail = &line[at..];
            let end = tail
                .find(|c: char| !c.is_ascii_alphanumeric() && !"_-./".contains(c))
                .unwrap_or(tail.len());
            tail[..end].trim_end_matches(['.', '/', '-'])
        })
        .filter(|name| name.len() > "scripts/".len())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_formed_as_github_forms_them() {
        let text = "# When *not* to use it\n```\n# no heading\n```\n## `G1`: once, and only once\n## Sizing\n## Sizing\n";
        assert_eq!(
            anchors(text),
            ["when-not-to-use-it", "g1-once-and-only-once", "sizing", "sizing-1"]
        );
    }

    #[test]
    fn links_are_found_and_code_is_none() {
        let line = "see [a](b.md#c) and [d](e.rs \"title\"), not `[f](g)`";
        assert_eq!(links(&without_code(line)), ["b.md#c", "e.rs"]);
        assert_eq!(links("[name]: target.md"), ["target.md"]);
    }

    #[test]
    fn only_what_can_be_a_path_is_taken_for_one() {
        for path in ["engine/src/", "arena.rs", "scripts/run", ".ci/run", "data/flights.csv.gz"] {
            assert!(looks_like_path(path), "{path}");
        }
        for other in ["Item", "&'a/x", "/proc", ".rs", "a::b", "<T/>", "cargo"] {
            assert!(!looks_like_path(other), "{other}");
        }
    }

    #[test]
    fn scripts_are_found_in_the_middle_of_a_line() {
        assert_eq!(
            script_names("$ scripts/run --check; run `scripts/test`."),
            ["scripts/run", "scripts/test"]
        );
        assert!(script_names("other/scripts/run, scripts/").is_empty());
    }
}
