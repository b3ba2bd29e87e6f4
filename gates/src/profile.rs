//! What callgrind counted, instruction by instruction.
//!
//! The format is that of valgrind's manual, *Callgrind Format Specification*: lines of an address, a source
//! line and a count, after lines that say which object (`ob=`) they are of. The line after `calls=` is what
//! the called function cost and was counted there, so it is left out. Compressed positions and names
//! (`--compress-pos`, `--compress-strings`) are refused rather than misread.

use crate::listing::Listing;

/// The counts of one gate.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Instructions executed at an address, in the order of the file.
    counts: Vec<(u64, u64)>,
    /// Instructions executed in other objects, such as the C library.
    elsewhere: u64,
}

/// A profile that can't be read. The remedy: `--dump-instr=yes --compress-pos=no --compress-strings=no`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Positions are not addresses and lines.
    #[error("has no `positions: instr line`: callgrind needs --dump-instr=yes")]
    NoAddresses,
    /// A line is not understood.
    #[error("line {0} is none of an uncompressed profile")]
    Line(usize),
}

impl Profile {
    /// Reads the profile of a run of `program`, the path that callgrind was given.
    ///
    /// # Errors
    ///
    /// [`ProfileError`] says where it is not what it should be.
    pub fn read(text: &str, program: &str) -> Result<Self, ProfileError> {
        if !text.lines().any(|line| line == "positions: instr line") {
            return Err(ProfileError::NoAddresses);
        }
        let mut profile = Self::default();
        let mut of_program = false;
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let wrong = ProfileError::Line(index + 1);
            if let Some(object) = line.strip_prefix("ob=") {
                of_program = object == program;
            } else if line.starts_with("calls=") {
                lines.next();
            } else if line.starts_with(['+', '-', '*']) {
                return Err(wrong);
            } else if let Some(position) = line.strip_prefix("0x") {
                let mut parts = position.split(' ');
                let address = parts.next().and_then(|hex| u64::from_str_radix(hex, 16).ok());
                let count = parts.nth(1).map_or(Some(0), |count| count.parse().ok());
                let (Some(address), Some(count)) = (address, count) else { return Err(wrong) };
                if of_program {
                    profile.counts.push((address, count));
                } else {
                    profile.elsewhere += count;
                }
            }
        }
        Ok(profile)
    }

    /// Instructions in all.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum::<u64>() + self.elsewhere
    }

    /// How often the program came through a fence. The C library's are not among them.
    #[must_use]
    pub fn fences(&self, listing: &Listing) -> u64 {
        let fences = self.counts.iter().filter(|(address, _)| listing.is_fence(*address));
        fences.map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
positions: instr line
events: Ir
summary: 27

ob=/b/program
fl=a.rs
fn=outer
0x10 1 4
cob=/lib/libc.so.6
cfn=memcpy
calls=2 0x100 7
0x12 1 20
0x14 1 2
0x10 1 1

ob=/lib/libc.so.6
fn=memcpy
0x14 7 20
";

    #[test]
    fn what_a_call_costs_is_counted_once_and_where_it_was_done() {
        let profile = Profile::read(PROFILE, "/b/program").unwrap();
        assert_eq!(profile.instructions(), 27);
        let listing = Listing::of_x86_64("10:\tmfence\n12:\tlock incq (%rdi)\n14:\tret\n");
        assert_eq!(profile.fences(&listing), 5);
        // An address of another object is another instruction.
        assert_eq!(profile.fences(&Listing::of_x86_64("14:\tmfence\n")), 2);
    }

    #[test]
    fn a_profile_without_addresses_or_with_relative_ones_is_refused() {
        let lines = PROFILE.replace("instr line", "line");
        assert_eq!(Profile::read(&lines, "x").unwrap_err(), ProfileError::NoAddresses);
        let relative = PROFILE.replace("0x14 1 2", "+2 1 2");
        assert_eq!(Profile::read(&relative, "x").unwrap_err(), ProfileError::Line(13));
    }
}
