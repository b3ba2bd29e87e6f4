//! Which instructions of a program are fences, from `objdump --disassemble --no-show-raw-insn`.
//!
//! On x86-64 these are `mfence`, whatever has a `lock` prefix (which is how compilers write a full fence, and
//! every read-modify-write of an atomic), and `xchg` with memory, which locks without saying so.

use std::collections::HashSet;

/// The fences of a program, by their addresses in its file.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    fences: HashSet<u64>,
}

impl Listing {
    /// Reads a disassembly; lines that are no instructions say nothing.
    ///
    /// ```
    /// let listing = gates::Listing::of_x86_64(
    ///     "0000000000080a00 <push>:\n   80a09:\tlock orl $0x0,-0x40(%rsp)\n   80a0f:\tret\n",
    /// );
    /// assert!(listing.is_fence(0x80a09) && !listing.is_fence(0x80a0f));
    /// ```
    #[must_use]
    pub fn of_x86_64(text: &str) -> Self {
        let fences = text.lines().filter_map(|line| {
            let (address, instruction) = line.split_once(":\t")?;
            is_fence(instruction).then(|| u64::from_str_radix(address.trim(), 16).ok())?
        });
        Self { fences: fences.collect() }
    }

    /// Whether there is a fence at this address.
    #[must_use]
    pub fn is_fence(&self, address: u64) -> bool {
        self.fences.contains(&address)
    }

    /// How many fences the program has; a program of any size has some.
    #[must_use]
    pub fn fences(&self) -> usize {
        self.fences.len()
    }
}

fn is_fence(instruction: &str) -> bool {
    let mut words = instruction.split_whitespace();
    match words.next() {
        Some("mfence" | "lock") => true,
        Some(name) if name.starts_with("xchg") => words.next().is_some_and(|to| to.contains('(')),
        // Prefixes that go before it.
        Some("xacquire" | "xrelease") => words.next() == Some("lock"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_fence_is_found_and_nothing_else() {
        for fence in [
            "mfence",
            "lock orl $0x0,-0x40(%rsp)",
            "lock cmpxchg %rcx,(%rdi)",
            "xchg   %rax,(%rdi)",
            "xchgb  %al,0x8(%rdi)",
        ] {
            assert!(is_fence(fence), "{fence}");
        }
        for other in ["xchg   %ax,%ax", "mov    (%rdi),%rax", "sfence", "call   80a0 <block>", ""] {
            assert!(!is_fence(other), "{other}");
        }
    }
}
