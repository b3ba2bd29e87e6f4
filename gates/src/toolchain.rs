//! What a record of counts belongs to.

use std::fmt;
use std::str::FromStr;

/// A compiler, what it compiles for, and the valgrind that counted.
///
/// ```
/// use gates::Toolchain;
///
/// let text = "rustc 1.95.0, LLVM 22.1.2, x86_64-unknown-linux-gnu, valgrind 3.19.0";
/// let toolchain: Toolchain = text.parse()?;
/// assert_eq!(toolchain.to_string(), text);
/// # Ok::<(), gates::ToolchainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    rustc: String,
    llvm: String,
    target: String,
    valgrind: String,
}

/// A text that names no toolchain. The remedy: `rustc R, LLVM L, TARGET, valgrind V`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no toolchain: it should read `rustc R, LLVM L, TARGET, valgrind V`")]
pub struct ToolchainError(String);

impl FromStr for Toolchain {
    type Err = ToolchainError;

    fn from_str(text: &str) -> Result<Self, ToolchainError> {
        let parse = || {
            let mut parts = text.split(", ");
            let rustc = parts.next()?.strip_prefix("rustc ")?;
            let llvm = parts.next()?.strip_prefix("LLVM ")?;
            let target = parts.next()?;
            let valgrind = parts.next()?.strip_prefix("valgrind ")?;
            let all_there = [rustc, llvm, target, valgrind].iter().all(|part| !part.is_empty());
            (all_there && parts.next().is_none()).then(|| Self {
                rustc: rustc.to_owned(),
                llvm: llvm.to_owned(),
                target: target.to_owned(),
                valgrind: valgrind.to_owned(),
            })
        };
        parse().ok_or_else(|| ToolchainError(text.to_owned()))
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rustc, llvm, target, valgrind } = self;
        write!(f, "rustc {rustc}, LLVM {llvm}, {target}, valgrind {valgrind}")
    }
}

impl Toolchain {
    /// How far another one is: versions of the compiler first, then of LLVM, then of valgrind. `None` where
    /// counts can't be compared, since it compiles for something else.
    #[must_use]
    pub fn distance(&self, other: &Self) -> Option<impl Ord + use<>> {
        let apart = |one: &str, other: &str| {
            let (one, other) = (numbers(one), numbers(other));
            [0, 1, 2].map(|place| one[place].abs_diff(other[place]))
        };
        (self.target == other.target).then(|| {
            let versions = [
                apart(&self.rustc, &other.rustc),
                apart(&self.llvm, &other.llvm),
                apart(&self.valgrind, &other.valgrind),
            ];
            // Of versions that are alike in numbers, one may still be a nightly.
            (versions, self.rustc != other.rustc)
        })
    }
}

/// The first three numbers of a version: `1.96.0-nightly` is 1, 96, 0.
fn numbers(version: &str) -> [u64; 3] {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rustc: &str, target: &str, valgrind: &str) -> Toolchain {
        format!("rustc {rustc}, LLVM 22.1.2, {target}, valgrind {valgrind}").parse().unwrap()
    }

    #[test]
    fn the_nearest_toolchain_is_the_one_whose_compiler_is_nearest() {
        let here = of("1.95.0", "x86_64-unknown-linux-gnu", "3.19.0");
        let far = |rustc, valgrind| here.distance(&of(rustc, "x86_64-unknown-linux-gnu", valgrind));
        assert!(far("1.95.0", "3.26.0") < far("1.96.0", "3.19.0"));
        assert!(far("1.94.1", "3.19.0") < far("1.89.0", "3.19.0"));
        assert!(far("1.95.0", "3.19.0") < far("1.95.0-nightly", "3.19.0"));
        assert!(here.distance(&of("1.95.0", "aarch64-unknown-linux-gnu", "3.19.0")).is_none());
    }

    #[test]
    fn a_text_with_a_part_missing_is_refused() {
        for text in [
            "",
            "rustc 1.95.0, LLVM 22, x86_64-unknown-linux-gnu",
            "rustc , LLVM 22, x86_64-unknown-linux-gnu, valgrind 3.19.0",
            "rustc 1.95.0, LLVM 22, x86_64-unknown-linux-gnu, valgrind 3.19.0, more",
        ] {
            assert!(text.parse::<Toolchain>().is_err(), "{text}");
        }
    }
}
